"""A metric without values that saves the first images of a dataset with ground truth and prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

from PIL import Image
from torch import Tensor

from distill_core.distributed import rank

from ..transforms import denormalize
from ._boxes import draw_boxes, shown
from ._classes import draw_classes
from ._frame import Colour, framed
from ._palette import IGNORED, palette

_LEAST = 320
"""Smallest height and width of a picture in pixels; smaller images are enlarged."""


@final
class Pictures:
    """Writes `<index>.png`: ground truth on the left, prediction on the right; for class maps the image before both.

    Each has a heading, and a legend has the classes that occur. Images of less than 320 pixels are enlarged.

    Args:
        folder: The folder of the pictures.
        count: Maximum number of images.
        threshold: Least score of the boxes to draw.
        names: Label → name; by default the label itself.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        count: int = 8,
        threshold: float = 0.5,
        names: Mapping[int, str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.count = count
        self.threshold = threshold
        self.names = names
        self._done = 0

    def reset(self) -> None:
        """Start again at index 0; existing pictures are replaced."""
        self._done = 0

    def update(self, image: Sequence[Tensor] | Tensor, preds: Any, target: Any) -> None:
        """Save pictures of a batch.

        Args:
            image: A list of (3, height, width) from 0 to 1, or normalised images (batch, 3, height, width).
            preds: Boxes of each image, or scores (batch, classes, height, width).
            target: Ground truth: boxes of each image, or classes (batch, height, width).
        """
        for index in range(len(image)):
            if self._done >= self.count or rank() > 0:
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            picture = self._picture(image[index], preds[index], target[index])
            picture.save(self.folder / f"{self._done}.png")
            self._done += 1

    def _picture(self, image: Tensor, pred: Any, true: Any) -> Image.Image:
        factor = max(1, -(-_LEAST // min(image.shape[-2:])))
        image = _enlarged(image, factor)
        if isinstance(true, Mapping):
            both = [{**boxes, "boxes": boxes["boxes"] * factor} for boxes in (true, pred)]
            panels = [draw_boxes(image, boxes, names=self.names, threshold=self.threshold) for boxes in both]
            labels = {int(boxes["labels"][index]) for boxes in both for index in shown(boxes, self.threshold)}
            return framed(
                panels, ["ground truth", f"prediction, score from {self.threshold:.0%}"], self._legend(labels)
            )
        maps = [_enlarged(true, factor), _enlarged(pred.argmax(0), factor)]
        nothing = {"boxes": image.new_zeros(0, 4), "labels": image.new_zeros(0)}
        panels = [draw_boxes(denormalize(image), nothing), *map(draw_classes, maps)]
        labels = {int(label) for drawn in maps for label in drawn.flatten().tolist()}
        return framed(panels, ["image", "ground truth", "prediction"], self._legend(labels))

    def _legend(self, labels: set[int]) -> dict[str, Colour]:
        names = {255: "ignored", **(self.names or {})}
        return {str(names.get(label, label)): IGNORED if label == 255 else palette(label) for label in sorted(labels)}

    def compute(self) -> dict[str, float]:
        """Return no values."""
        return {}


def _enlarged(pixels: Tensor, factor: int) -> Tensor:
    """Repeat each pixel of (…, height, width)."""
    return pixels.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
