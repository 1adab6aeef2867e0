"""Masks that a model predicts for a user's own images, as files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from distill_core.data import PredictionOptions

from .._image_file import image_size

Records = list[dict[str, Any]]


@final
@dataclass(frozen=True)
class NoMasks:
    """Masks of images without labels: all pixels are of class 0, so that padding can be told apart.

    Attributes:
        paths: The images.
    """

    paths: Sequence[Path]

    def __call__(self, index: int) -> Tensor:
        """Return zeros, (height, width) uint8."""
        return torch.zeros(image_size(self.paths[index]), dtype=torch.uint8)


@final
class MaskRecords:
    """Predicted masks as files of the images' sizes, and the fraction of pixels of each class.

    Args:
        paths: The images; the mask of `a.jpg` is `a.png`, or `a_2.png` if there is another one.
        classes: The names of the classes in order; their indices by default.
    """

    def __init__(self, paths: Sequence[Path], classes: Sequence[str] = ()) -> None:
        self.paths, self.classes = list(paths), tuple(classes)
        self.files = mask_files(self.paths)

    def __call__(self, outputs: Tensor, batch: Mapping[str, Any], options: PredictionOptions) -> Records:
        """Write the masks of a batch; return `mask`, the path of each, and `classes`."""
        folder = options.folder or Path()
        folder.mkdir(parents=True, exist_ok=True)
        records = []
        for index, scores, target in zip(batch["index"].tolist(), outputs, batch["target"], strict=True):
            mask = _mask(scores.detach().cpu(), target.cpu(), image_size(self.paths[index]))
            file = folder / self.files[index]
            _write_mask(mask, file)
            counts = torch.bincount(mask.flatten().long())
            shares = {self._name(label): int(counts[label]) / mask.numel() for label in counts.nonzero()[:, 0].tolist()}
            classes = dict(sorted(shares.items(), key=lambda item: -item[1]))
            records.append({"mask": str(file), "classes": classes})
        return records

    def _name(self, label: int) -> str:
        return self.classes[label] if label < len(self.classes) else str(label)


def _mask(scores: Tensor, target: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the class of each pixel of the original image, (height, width) uint8.

    Args:
        scores: (classes, height, width), or classes (height, width).
        target: (height, width), 0 inside of the image and another value where the batch is padded.
        size: Height and width of the original image.
    """
    inside = target == 0
    height, width = int(inside.any(1).sum()), int(inside.any(0).sum())
    planes = (scores if scores.dim() == 3 else scores[None])[:, :height, :width].float()
    if (height, width) != size:
        mode = "bilinear" if scores.dim() == 3 else "nearest"
        planes = F.interpolate(planes[None], size, mode=mode)[0]
    return (planes.argmax(0) if scores.dim() == 3 else planes[0]).byte()


def _write_mask(mask: Tensor, file: Path) -> None:
    """Write the classes as the palette indices of a PNG, whose colours are VOC's."""
    from ...draw import palette  # imports the trainer

    image = Image.frombytes("P", (mask.shape[1], mask.shape[0]), mask.contiguous().numpy().tobytes())
    image.putpalette([channel for label in range(256) for channel in palette(label)])
    image.save(file, format="PNG")


def mask_files(paths: Sequence[Path]) -> list[str]:
    """Return a different name of a PNG file for each image.

    >>> mask_files([Path("a/1.jpg"), Path("b/1.jpg"), Path("2.png")])
    ['1.png', '1_2.png', '2.png']
    """
    seen: Counter[str] = Counter()
    names: dict[str, None] = {}
    for path in paths:
        seen[path.stem] += 1
        name = path.stem if seen[path.stem] == 1 else f"{path.stem}_{seen[path.stem]}"
        while f"{name}.png" in names:  # `1_2.jpg` beside two files `1.jpg`
            name += "_"
        names[f"{name}.png"] = None
    return list(names)
