"""A metric that measures nothing: it saves the first images of a data set with what is there and what was found."""

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
    """Writes `<number>.png`: the truth on the left, the prediction on the right; of scenes the photograph before both.

    Args:
        folder: Where the pictures go.
        count: How many images at most.
        threshold: Boxes with a lower score are not drawn.
        names: What the boxes' classes are called; their numbers if left out.
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
        """Begin anew; pictures of the same number are replaced."""
        self._done = 0

    def update(self, image: Sequence[Tensor] | Tensor, preds: Any, target: Any) -> None:
        """Save pictures of a batch.

        Args:
            image: A list of (3, height, width) from 0 to 1, or scenes (batch, 3, height, width), normalised.
            preds: Boxes of each image, or scores (batch, classes, height, width).
            target: The same of the truth: boxes, or classes (batch, height, width).
        """
        for number in range(len(image)):
            if self._done >= self.count or rank() > 0:
                return
            self.folder.mkdir(parents=True, exist_ok=True)
            parts = self._parts(image[number], preds[number], target[number])
            beside(parts).save(self.folder / f"{self._done}.png")
            self._done += 1

    def _parts(self, image: Tensor, found: Any, true: Any) -> list[Image.Image]:
        if isinstance(true, Mapping):
            return [draw_boxes(image, boxes, names=self.names, threshold=self.threshold) for boxes in (true, found)]
        photograph = draw_boxes(denormalize(image), {"boxes": image.new_zeros(0, 4), "labels": image.new_zeros(0)})
        return [photograph, draw_classes(true), draw_classes(found.argmax(0))]

    def compute(self) -> dict[str, float]:
        """Nothing is measured."""
        return {}


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """Pictures in a row on white."""
    width = sum(picture.width + _GAP for picture in pictures) - _GAP
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + _GAP
    return row
