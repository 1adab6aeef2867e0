"""The data of an experiment on images with classes, as text."""

from __future__ import annotations

import json
from collections.abc import Iterable

from ._own_images import HeldOut, ImageFolder, ImageTable
from ._recipe import quoted

_LOAD = "!import_call:distill_vision.data"
_SHOWN = 5


def about_held_out(held_out: HeldOut, what: str = "images", *, of_classes: bool = True) -> str:
    """Return the number of held-out samples and, if each has a class, whether they are too few for the classes.

    >>> about_held_out(HeldOut(3)), about_held_out(HeldOut(2, ["dog"]))
    ('val: 3 images held out of train, at least one of each class', "val: 2 images held out of train, none of 'dog': too few to select the best epoch reliably")
    """
    if not held_out.count:
        return f"val has {what} of its own"
    text = f"val: {held_out.count:,} {what} held out of train"
    if not of_classes:
        return text
    if not held_out.missing:
        return f"{text}, at least one of each class"
    return f"{text}, none of {_named(map(repr, held_out.missing))}: too few to select the best epoch reliably"


def image_data(data: ImageFolder | ImageTable, size: int) -> str:
    """Return the loaders of `train` and `val`, and of `test` if there are images for it."""
    batch = max(2, min(64, data.num_train // 4))
    holdout = f", holdout: {data.held_out.count}" if data.held_out.count else ""
    head = f"data:                                # {_named(map(str, data.classes))}; {about_held_out(data.held_out)}\n"
    common = f"size: {size}{holdout}, batch_size: {batch}"
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


def _named(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else "")
