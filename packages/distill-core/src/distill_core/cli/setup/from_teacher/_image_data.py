"""The data of an experiment on images with classes, as text."""

from __future__ import annotations

import json

from ._held_out import about_held_out, listed
from ._own_images import ImageFolder, ImageTable
from ._recipe import quoted

_LOAD = "!import_call:distill_vision.data"


def batch_size(data: ImageFolder | ImageTable) -> int:
    """Return the number of images of a batch: at most 64, and at most a quarter of all."""
    return max(2, min(64, data.num_train // 4))


def image_data(data: ImageFolder | ImageTable, size: int, reason: str) -> str:
    """Return the loaders of `train` and `val`, and of `test` if there are images for it.

    Args:
        data: The images.
        size: Height and width to which they are resized.
        reason: The reason for this size.
    """
    holdout = f", holdout: {data.held_out.count}" if data.held_out.count else ""
    head = f"data:                                # {listed(map(str, data.classes))}; {about_held_out(data.held_out)}\n"
    head += f"  # size: {reason}\n" if reason else ""
    common = f"size: {size}{holdout}, batch_size: {batch_size(data)}"
    if isinstance(data, ImageFolder):
        load, options = f"{_LOAD}.image_folder", f"root: {quoted(data.root)}, test: {data.test}, {common}"
        files = dict.fromkeys(("train", "val", "test"), "")
    else:
        delimiter = "" if data.delimiter == "," else f"delimiter: {json.dumps(data.delimiter)}, "
        head = f"_classes: &classes {json.dumps(list(data.classes), ensure_ascii=False)}\n\n{head}"
        load = f"{_LOAD}.image_table"
        options = f"images: {quoted(data.images)}, path: {quoted(data.path)}, label: {quoted(data.label)}, {delimiter}classes: *classes, {common}"
        tables = {"train": data.train, "val": data.val or data.train, "test": data.test}
        files = {split: f"file: {quoted(file)}, " for split, file in tables.items() if file}
    train = f"  train: {load} {{split: train, {files['train']}{options}, num_workers: 2, drop_last: true}}\n"
    others = [name for name in ("val", "test") if name in files]
    return head + train + "".join(f"  {name}: &{name} {load} {{split: {name}, {files[name]}{options}}}\n" for name in others)  # fmt: skip
