"""Tiny files in the layouts of Pascal VOC and COCO."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_scenes(root: Path) -> None:
    """Write VOC and COCO below one folder: four images for training and two for evaluation."""
    _write_voc(root / "VOCdevkit" / "VOC2012")
    for part, count in (("train", 4), ("val", 2)):
        _write_coco(root, part, count)


def _write_voc(folder: Path) -> None:
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / name).mkdir(parents=True)
    for split, count in (("train", 4), ("val", 2)):
        names = [f"{split}{number}" for number in range(count)]
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            Image.effect_noise((48, 44), 60).convert("RGB").save(folder / "JPEGImages" / f"{name}.jpg")
            mask = Image.fromarray(np.full((44, 48), number + 1, dtype=np.uint8)).convert("P")
            mask.save(folder / "SegmentationClass" / f"{name}.png")


def _write_coco(root: Path, part: str, count: int) -> None:
    folder = root / f"{part}2017"
    folder.mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    outline = [[4, 4, 44, 4, 44, 40]]
    rows: dict[str, list[dict[str, object]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "person"}],
    }
    for number in range(1, count + 1):
        name = f"{number}.jpg"
        Image.effect_noise((48, 44), 60).convert("RGB").save(folder / name)
        rows["images"].append({"id": number, "file_name": name, "height": 44, "width": 48})
        box = {"bbox": [4, 4, 40, 36], "area": 1440, "iscrowd": 0, "segmentation": outline}
        rows["annotations"].append({"id": number, "image_id": number, "category_id": 1, **box})
    (root / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(rows))
