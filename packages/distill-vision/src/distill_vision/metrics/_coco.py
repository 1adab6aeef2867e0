"""Average precision and recall as defined by COCO, computed by COCO's evaluator.

Tsung-Yi Lin, Michael Maire, Serge Belongie, James Hays, Pietro Perona, Deva Ramanan, Piotr Dollár, C. Lawrence Zitnick.
"Microsoft COCO: Common Objects in Context." ECCV 2014. https://arxiv.org/abs/1405.0312
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from distill_core.distributed import gather_batch
from distill_core.errors import DataError
from distill_core.layers import one_of

from .._pycocotools import mask_tools
from ._coco_evaluator import KEYPOINT_NAMES, NAMES, SIGMAS, Evaluator, IouType, summary
from ._coco_keypoints import keypoint_areas
from ._coco_masks import RunLengths, gather_run_lengths, run_lengths

_NO_IDS = torch.zeros(0, 3, dtype=torch.int64)  # image, class, is crowd
_NO_NUMBERS = torch.zeros(0, 6, dtype=torch.float64)  # four corners, area, score


@final
class CocoAP:
    """COCO's twelve metrics for boxes or masks, from 0 to 1: `AP`, `AP50`, …, `AR100`, …; or its ten for keypoints.

    The ground truth comes with the batches: no annotation file is read, and a subset of a dataset can be measured. A
    metric without any object to measure is −1, as COCO defines it.

    Args:
        iou_type: Whether boxes (`bbox`), masks (`segm`) or `keypoints` are compared, these by their object keypoint
            similarity (OKS).
        evaluator: `faster_coco_eval` or `pycocotools`, which compute the same values; by default the first that is
            installed. Keypoints are always compared by pycocotools.
        classes: Label → name, `loader.dataset.names` for example. If given, `compute` adds `AP.<name>` of each class that
            occurs in the ground truth or in the predictions.
        sigmas: For each keypoint the accepted deviation as a fraction of the object's scale; by default those of COCO's
            17 keypoints of persons.

    >>> metric = CocoAP()
    >>> box = torch.tensor([[0.0, 0.0, 50.0, 50.0]])
    >>> found = {"boxes": box, "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}
    >>> metric.update([found], [{"image_id": 7, "boxes": box, "labels": torch.tensor([1])}])
    >>> round(metric.compute()["AP"], 6)
    1.0
    """

    percent = True

    def __init__(
        self,
        iou_type: IouType = "bbox",
        evaluator: Evaluator | None = None,
        classes: Mapping[int, str] | None = None,
        sigmas: Sequence[float] = SIGMAS,
    ) -> None:
        self.classes, self.sigmas = classes, tuple(sigmas)
        if not self.sigmas or min(self.sigmas) <= 0:
            message = f"`sigmas` must be numbers > 0, one per keypoint, got {list(self.sigmas)}"
            raise DataError(message)
        self.iou_type = one_of("iou_type", iou_type, IouType)
        self.evaluator = evaluator and one_of("evaluator", evaluator, Evaluator)
        self._device = torch.device("cpu")
        self.reset()

    def of_classes(self, classes: Mapping[int, str]) -> CocoAP:
        """Return a metric that adds the AP of each class.

        Args:
            classes: Label → name.
        """
        return CocoAP(self.iou_type, self.evaluator, classes, self.sigmas)

    def to(self, device: torch.device | str) -> None:
        """Set the device on which processes exchange their records, which are kept on the CPU."""
        self._device = torch.device(device)

    def reset(self) -> None:
        """Remove all images."""
        self._images: list[int] = []
        self._found, self._true = _Objects(), _Objects()

    def update(self, preds: Sequence[Mapping[str, Tensor]], target: Sequence[Mapping[str, Any]]) -> None:
        """Add the predictions and the ground truth of a batch of images.

        Args:
            preds: For each image `boxes` (n, 4) as corners in pixels, `labels` (n,) and `scores` (n,); for `segm` also
                `masks` (n, height, width) or (n, 1, height, width), probabilities or 0 and 1; for `keypoints` also
                `keypoints` (n, keypoints, 3): x, y, and a third value that does not count.
            target: For each image `image_id`, `boxes` (m, 4), `labels` (m,); `area` (m,) and `iscrowd` (m,) if known;
                for `segm` also `masks` (m, height, width), and for `keypoints` also `keypoints` (m, keypoints, 3): x, y
                and the visibility, 0 if the keypoint is not annotated.

        Raises:
            ValueError: The numbers of predictions and targets differ.
            DataError: Masks or keypoints are missing, or there is another number of keypoints than sigmas.
        """
        if len(preds) != len(target):
            message = f"predictions and targets must be of the same images, got {len(preds)} and {len(target)} images"
            raise ValueError(message)
        for found, true in zip(preds, target, strict=True):
            image = int(true["image_id"])
            self._images.append(image)
            for kept, objects in ((self._found, found), (self._true, true)):
                areas, runs = self._areas(objects)
                kept.runs += runs
                if self.iou_type == "keypoints":
                    kept.points.append(_double(objects["keypoints"]).reshape(-1, 3 * len(self.sigmas)))
                # COCO annotates areas of outlines, also where boxes are compared.
                ids, numbers = _rows(image, objects, areas if objects is found else true.get("area", areas))
                kept.ids.append(ids)
                kept.numbers.append(numbers)

    def _areas(self, objects: Mapping[str, Any]) -> tuple[Tensor, list[RunLengths]]:
        """Return the area of each object in pixels and, if masks are compared, its mask."""
        if self.iou_type == "keypoints":
            return keypoint_areas(objects, len(self.sigmas)), []
        if self.iou_type == "bbox":
            corners = _double(objects["boxes"]).reshape(-1, 4)
            return (corners[:, 2:] - corners[:, :2]).prod(1), []
        if "masks" not in objects:
            message = f"`iou_type` 'segm' compares masks, got only {', '.join(sorted(objects))}"
            raise DataError(
                message, hint="predict masks (Mask R-CNN), and read them with `coco_detection(…, masks=True)`"
            )
        runs = run_lengths(objects["masks"])
        return _double(mask_tools().area(runs)).reshape(-1), runs

    def compute(self) -> dict[str, float]:
        """Return the twelve metrics over all images of all processes, each from 0 to 1 or −1; and with `classes` the AP of each.

        Raises:
            DataError: There are no images, a label is not in `classes`, an image was added twice, or no evaluator is installed.
        """
        images = gather_batch(torch.tensor(self._images, dtype=torch.int64).to(self._device)).tolist()
        width = 3 * len(self.sigmas) if self.iou_type == "keypoints" else 0
        found, true = (kept.of_all_processes(self._device, width) for kept in (self._found, self._true))
        if not images:
            message = "`CocoAP` has no images to measure: the loader yielded no batch"
            raise DataError(message)
        if len(set(images)) != len(images):
            twice = next(image for image in images if images.count(image) > 1)
            message = f"`CocoAP` got image {twice} twice, each image must occur once"
            raise DataError(message)
        records = found.annotations(), true.annotations()
        numbers, by_label = summary(images, *records, self.iou_type, self.evaluator, self.sigmas)
        metrics = dict(zip(KEYPOINT_NAMES if self.iou_type == "keypoints" else NAMES, numbers, strict=True))
        if self.classes is None:
            return metrics
        unknown = [label for label in by_label if label not in self.classes]
        if unknown:
            message = f"`classes` of `CocoAP` has no name for the label {unknown[0]}"
            raise DataError(message)
        return metrics | {f"AP.{self.classes[label]}": value for label, value in by_label.items()}


@dataclass
class _Objects:
    """Objects of the images so far: rows of ids and numbers; run lengths or keypoints if these are compared."""

    ids: list[Tensor] = field(default_factory=list)
    numbers: list[Tensor] = field(default_factory=list)
    runs: list[RunLengths] = field(default_factory=list)
    points: list[Tensor] = field(default_factory=list)

    def of_all_processes(self, device: torch.device, width: int) -> _Objects:
        ids = gather_batch(torch.cat([_NO_IDS, *self.ids]).to(device)).cpu()
        numbers = gather_batch(torch.cat([_NO_NUMBERS, *self.numbers]).to(device)).cpu()
        points = []
        if width:
            points = [gather_batch(torch.cat([torch.zeros(0, width).double(), *self.points]).to(device)).cpu()]
        return _Objects([ids], [numbers], gather_run_lengths(self.runs, device), points)

    def annotations(self) -> list[dict[str, Any]]:
        """Return COCO's records."""
        rows = zip(
            torch.cat([_NO_IDS, *self.ids]).tolist(), torch.cat([_NO_NUMBERS, *self.numbers]).tolist(), strict=True
        )
        records = [
            {
                "id": number,  # from 1: in the evaluator 0 means unmatched
                "image_id": image,
                "category_id": label,
                "bbox": [left, top, right - left, bottom - top],
                "area": area,
                "score": score,
                "iscrowd": crowd,
            }
            for number, ((image, label, crowd), (left, top, right, bottom, area, score)) in enumerate(rows, start=1)
        ]
        for record, run in zip(records, self.runs, strict=False):  # empty if boxes are compared
            record["segmentation"] = run
        for record, points in zip(records, torch.cat(self.points).tolist() if self.points else [], strict=False):
            record |= {"keypoints": points, "num_keypoints": sum(value > 0 for value in points[2::3])}
        return records


def _double(values: Any) -> Tensor:
    return torch.as_tensor(values).detach().double().cpu()


def _rows(image: int, objects: Mapping[str, Any], areas: Tensor) -> tuple[Tensor, Tensor]:
    """Return (n, 3) int64 ids and (n, 6) float64 numbers, which hold float32 exactly."""
    corners = _double(objects["boxes"]).reshape(-1, 4)
    zeros = torch.zeros(len(corners))
    ids = (zeros.long() + image, objects["labels"], objects.get("iscrowd", zeros))
    columns = [torch.as_tensor(column).detach().cpu().long().reshape(-1) for column in ids]
    numbers = [_double(column).reshape(-1, 1) for column in (areas, objects.get("scores", zeros))]
    return torch.stack(columns, dim=1), torch.cat([corners, *numbers], dim=1)
