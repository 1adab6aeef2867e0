"""Transforms of images with boxes: fields of a box stay with it, and its area follows its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor

from distill_core.errors import DataError

from ._scenes import PairTransform

_PER_BOX = ("boxes", "labels", "area", "iscrowd", "masks", "keypoints", "visibility")


@final
class RowLabels(Tensor):
    """Labels that keep their row indices when a transform such as `SanitizeBoundingBoxes` selects some of them."""

    rows: Tensor

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Select rows along with labels."""
        result = super().__torch_function__(func, types, args, kwargs or {})  # type: ignore[no-untyped-call]
        if func is Tensor.__getitem__ and isinstance(result, RowLabels):
            result.rows = args[0].rows[args[1]]
        return result


def transform_boxes(
    transform: PairTransform, image: Tensor, target: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Apply a transform to an image and its boxes, and return plain tensors.

    Boxes without an area afterwards are omitted. `area` is multiplied by the ratio of the masks' pixels or, without masks,
    of the boxes' areas. Fields that the transform itself changed are kept.

    Args:
        transform: Function from (image, target) to (image, target).
        image: (3, height, width).
        target: `boxes` (n, 4), `labels` (n,), and any of `area` (n,), `iscrowd` (n,), `masks` (n, height, width),
            `keypoints` (n, k, 2) and their `visibility` (n, k, 1); other fields are passed through.

    Raises:
        DataError: The transform removed boxes, and which ones is unknown.
    """
    labels = target["labels"].as_subclass(RowLabels)
    labels.rows = torch.arange(len(labels))
    given = {**target, "labels": labels}
    image, changed = transform(image, given)
    rows = getattr(changed["labels"], "rows", labels.rows)
    fields = {name: _field(name, changed, given, rows) for name in changed}
    if "area" in fields and changed["area"] is given["area"]:
        fields["area"] = fields["area"] * _growth(changed, given, rows)
    kept = (_sides(changed["boxes"]) > 0).all(1)
    plain = {name: value[kept] if name in _PER_BOX and not kept.all() else value for name, value in fields.items()}
    return image.as_subclass(Tensor), plain


def _field(name: str, changed: Mapping[str, Any], given: Mapping[str, Any], rows: Tensor) -> Tensor:
    """Return a field for the remaining boxes."""
    value: Tensor = changed[name].as_subclass(Tensor)
    count = len(changed["boxes"])
    if name not in _PER_BOX:
        return value
    untouched = changed[name] is given.get(name) or len(value) != count
    if untouched and len(rows) == count and name not in {"boxes", "labels"}:
        return value[rows]
    if len(value) != count:
        message = f"the transform must return as many entries of '{name}' as boxes, {count}, got {len(value)}"
        raise DataError(
            message,
            hint="remove boxes with torchvision's v2.SanitizeBoundingBoxes, or select all fields in the same way",
        )
    return value


def _growth(changed: Mapping[str, Any], given: Mapping[str, Any], rows: Tensor) -> Tensor:
    """Return the ratio of each object's area after the transform to that before; exactly 1 if its box kept its size."""
    before, after = _sides(given["boxes"])[rows], _sides(changed["boxes"])
    same = torch.isclose(before, after, rtol=1e-4, atol=1e-3).all(1)
    by_box = torch.where(same, 1.0, after.prod(1) / before.prod(1))
    if "masks" not in changed:
        return by_box
    drawn, left = (_pixels(masks) for masks in (given["masks"], changed["masks"]))
    drawn, left = drawn[rows], left if len(left) == len(rows) else left[rows]
    return torch.where(drawn > 0, left / drawn, by_box)


def _pixels(masks: Tensor) -> Tensor:
    return (masks.as_subclass(Tensor) != 0).flatten(1).sum(1).double()


def _sides(boxes: Tensor) -> Tensor:
    """Return the width and the height of each box, (n, 2) float64."""
    from torchvision.transforms.v2.functional import convert_bounding_box_format

    corners = boxes
    if hasattr(boxes, "format"):
        corners = convert_bounding_box_format(boxes, new_format="XYXY")
    plain = corners.as_subclass(Tensor).double()
    return plain[:, 2:] - plain[:, :2]
