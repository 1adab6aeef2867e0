"""COCO files written field by field, and what a loader makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distill_core.errors import DataError
from distill_vision.data import coco_detection

TRIANGLE = [[2, 2, 30, 2, 30, 30]]


def picture(number: int = 1, **fields) -> dict:
    return {"id": number, "file_name": f"{number}.jpg", "height": 40, "width": 60, **fields}


def thing(number: int = 1, **fields) -> dict:
    box = {"bbox": [2, 2, 28, 28], "area": 392, "iscrowd": 0, "segmentation": TRIANGLE}
    return {"id": number, "image_id": 1, "category_id": 1, **box, **fields}


def without(row: dict, name: str) -> dict:
    return {key: value for key, value in row.items() if key != name}


def write(root: Path, part: str = "val", *, images=None, annotations=None, categories=None) -> Path:
    """Write the annotations of a part and its images; returns the file of the annotations."""
    images = [picture()] if images is None else images
    for row in images if isinstance(images, list) else []:
        name = row.get("file_name") if isinstance(row, dict) else None
        if isinstance(name, str) and name.strip("./ ") and ".." not in name.split("/") and not name.startswith("/"):
            path = root / f"{part}2017" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(path, "PNG")
    tables = {
        "images": images,
        "annotations": [thing()] if annotations is None else annotations,
        "categories": [{"id": 1, "name": "person"}] if categories is None else categories,
    }
    file = root / "annotations" / f"instances_{part}2017.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(tables), encoding="utf-8")
    return file


def read(root: Path, split: str = "test", **options) -> list[dict]:
    loader = coco_detection(split, batch_size=1, root=root, holdout=0, **options)
    return [target for batch in loader for target in batch["target"]]


def refusal(root: Path, split: str = "test", function=coco_detection, **options) -> str:
    with pytest.raises(DataError) as error:
        list(function(split, batch_size=1, root=root, holdout=0, **options))
    return str(error.value)
