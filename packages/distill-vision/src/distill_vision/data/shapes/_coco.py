"""Shapes as files in COCO's layout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from distill_core.errors import DataError

from ._objects import detection_target
from ._polygons import KINDS, num_corners
from ._scenes import polygons


def write_coco(
    folder: str | os.PathLike[str], split: str, count: int, *, first: int = 0, size: int = 64, seed: int = 0
) -> Path:
    """Write PNG files and their annotations, with boxes, masks as run lengths, and keypoints, in COCO's format.

    Images are in `train2017` (`train`) or `val2017` (`test`), where `coco_detection` and `coco_segmentation` find them.

    Args:
        folder: The folder to write to.
        split: `train` or `test`. The validation split is what readers of COCO hold out of `train`.
        count: Number of images.
        first: Index of the first one.
        size: Height and width.
        seed: Seed of all images.

    Returns:
        The annotation file.

    Raises:
        DataError: A number is too small, the split is not `train` or `test`, or the annotation file exists.
    """
    if split not in ("train", "test"):
        message = f"`split` must be train or test, got '{split}'"
        raise DataError(message)
    part = {"train": "train2017", "test": "val2017"}[split]
    file = Path(folder).expanduser() / "annotations" / f"instances_{part}.json"
    if file.exists():
        message = f"{file} exists"
        raise DataError(message, hint="choose another folder, or delete it")
    drawn = polygons(split, count, first=first, size=size, seed=seed)
    images, rows = file.parents[1] / part, list[dict[str, Any]]()
    images.mkdir(parents=True, exist_ok=True)
    table = [{"id": n, "file_name": f"{n:06}.png", "height": size, "width": size} for n in range(count)]
    for index, image in enumerate(drawn.images):
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(images / f"{index:06}.png")
        rows += _rows(detection_target(drawn, index), index, len(rows) + 1)
    file.parent.mkdir(parents=True, exist_ok=True)
    tables = {"info": {}, "images": table, "annotations": rows, "categories": _categories()}
    file.write_text(json.dumps(tables), encoding="utf-8")
    return file


def run_lengths(mask: Tensor) -> dict[str, list[int]]:
    """Return a mask (height, width) as COCO's run lengths: down the columns, first those of 0.

    >>> run_lengths(torch.tensor([[True, False], [True, True]]))
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    values, counts = torch.unique_consecutive(mask.bool().T.flatten(), return_counts=True)
    return {"size": list(mask.shape), "counts": [0] * bool(values[0]) + counts.tolist()}


def _rows(target: dict[str, Tensor], image: int, number: int) -> list[dict[str, Any]]:
    boxes = target["boxes"].clone()
    boxes[:, 2:] -= boxes[:, :2]
    corners = num_corners()
    rows = []
    for index, label in enumerate(target["labels"].tolist()):
        points = target["keypoints"][index, : int(corners[label - 1])]
        rows.append({
            "id": number + index, "image_id": image, "category_id": label, "iscrowd": 0,
            "bbox": boxes[index].tolist(), "area": target["area"][index].item(),
            "segmentation": run_lengths(target["masks"][index]),
            "keypoints": [round(value, 2) for value in points.flatten().tolist()],
            "num_keypoints": int((points[:, 2] > 0).sum()),
        })  # fmt: skip
    return rows


def _categories() -> list[dict[str, Any]]:
    rows = []
    for number, (name, count) in enumerate(zip(KINDS, num_corners().tolist(), strict=False), start=1):
        edges = [[corner, corner % count + 1] for corner in range(1, count + 1)]
        corners = [f"corner {corner}" for corner in range(1, count + 1)]
        rows.append({"id": number, "name": name, "supercategory": "polygon", "keypoints": corners, "skeleton": edges})
    return rows
