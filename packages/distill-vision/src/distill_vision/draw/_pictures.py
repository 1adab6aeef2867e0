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
from ._boxes import draw_boxes
from ._classes import draw_classes

_GAP = 8


@final
class Pictures:
    """Writes `<index>.png`: ground truth on the left, prediction on the right; for class maps the image before both.

    Args:
        folder: The folder of the pictures.
        count: Maximum number of images.
        threshold: Least score of the boxes to draw.
        names: Label → name for boxes; by default the label itself.
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
            panels = self._panels(image[index], preds[index], target[index])
            beside(panels).save(self.folder / f"{self._done}.png")
            self._done += 1

    def _panels(self, image: Tensor, pred: Any, true: Any) -> list[Image.Image]:
        if isinstance(true, Mapping):
            return [draw_boxes(image, boxes, names=self.names, threshold=self.threshold) for boxes in (true, pred)]
        photograph = draw_boxes(denormalize(image), {"boxes": image.new_zeros(0, 4), "labels": image.new_zeros(0)})
        return [photograph, draw_classes(true), draw_classes(pred.argmax(0))]

    def compute(self) -> dict[str, float]:
        """Return no values."""
        return {}


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Place pictures in a row on white."""
    width = sum(picture.width + _GAP for picture in pictures) - _GAP
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + _GAP
    return row
