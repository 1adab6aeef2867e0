"""A user's own images for a detector, and its boxes as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import PredictionOptions

from .._image_file import read_image

Records = list[dict[str, Any]]


@final
class ImagesWithoutBoxes(Dataset[dict[str, Any]]):
    """Images for a detector, each with a target without boxes and its original `size`, (height, width).

    Args:
        paths: The images.
        transform: Function from (image, target) to (image, target); see `transform_boxes`.
    """

    def __init__(self, paths: Sequence[Path], transform: Callable[..., tuple[Any, Any]]) -> None:
        self.paths, self.transform = list(paths), transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Any]:
        from torchvision import tv_tensors
        from torchvision.transforms.v2.functional import pil_to_tensor

        from .._box_transform import transform_boxes  # imports the module of a dataset that imports this package

        pixels = pil_to_tensor(read_image(self.paths[index]))
        size = (pixels.shape[1], pixels.shape[2])
        boxes: Any = tv_tensors.BoundingBoxes(torch.zeros(0, 4), format="XYXY", canvas_size=size)
        target = {
            "boxes": boxes,
            "labels": torch.zeros(0, dtype=torch.long),
            "area": torch.zeros(0, dtype=torch.float64),
            "iscrowd": torch.zeros(0, dtype=torch.long),
            "image_id": torch.tensor(index),
        }
        changed, plain = transform_boxes(self.transform, tv_tensors.Image(pixels), target)
        return {"input": changed, "target": plain, "size": torch.tensor(size)}


@final
@dataclass(frozen=True)
class BoxRecords:
    """Boxes as records: `class`, `score` and `box`, the corners in pixels of the original image, highest score first.

    Attributes:
        names: Label → name of its class.
    """

    names: Mapping[int, str]

    def __call__(
        self, outputs: Sequence[Mapping[str, Tensor]], batch: Mapping[str, Any], options: PredictionOptions
    ) -> Records:
        """Return a record with the `boxes` of each image whose score is at least the threshold."""
        records = []
        for found, image, size in zip(outputs, batch["input"], batch["size"], strict=True):
            height, width = (float(size[axis]) / image.shape[axis + 1] for axis in (0, 1))
            scale = torch.tensor([width, height, width, height], dtype=torch.float64)
            corners = (found["boxes"].detach().cpu().double() * scale).tolist()
            scores, labels = found["scores"].tolist(), found["labels"].tolist()
            kept = [
                {"class": self.names.get(labels[index], labels[index]), "score": scores[index], "box": corners[index]}
                for index in sorted(range(len(scores)), key=lambda index: -scores[index])
                if scores[index] >= options.threshold
            ]
            records.append({"boxes": kept})
        return records
