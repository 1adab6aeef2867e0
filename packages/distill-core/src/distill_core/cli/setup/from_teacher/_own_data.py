"""A user's own data: which kind of data a path holds, and what an experiment needs to know about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

from ..._exit import refuse
from ._held_out import NONE_HELD_OUT, HeldOut, listed, num_held_out
from ._own_images import ImageFolder, ImageTable, class_folders, has_images, image_folder, image_table
from ._own_tables import TARGETS, VAL, find_table
from ._package import package

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
LAYOUTS = (
    "a folder with train/CLASS/IMAGE and val/CLASS/IMAGE, with images and a table of their files and labels (labels.csv), "
    "with train.csv and test.csv of texts (or .tsv, .jsonl, .parquet), or with COCO's annotations/*.json; or a file of "
    "conversations or of prompts and completions"
)
_TEXTS = ("sentence", "text", "review", "content", "body", "question", "title")
_FEWEST_ROWS = 3
"""The fewest rows of prompts: one each for training, validation and the test."""


@dataclass(frozen=True)
class LabelledTexts:
    """Tables of texts with classes; `val` is None if it is held out of `train`."""

    train: Path
    val: Path | None
    test: Path
    column: str
    target: str
    labels: Sequence[str]
    num_train: int
    held_out: HeldOut = NONE_HELD_OUT


@dataclass(frozen=True)
class PromptRows:
    """A file of conversations, or of prompts with completions; as many rows are for the test as for `val`."""

    file: Path
    kind: Literal["conversations", "completions"]
    num_train: int
    num_val: int


@dataclass(frozen=True)
class BoxFiles:
    """Images with boxes in two files of COCO's format; `num_classes` includes the background.

    `val` is held out of `train`.
    """

    train: Path
    train_images: Path
    test: Path
    test_images: Path
    num_classes: int
    num_train: int
    held_out: HeldOut


OwnData = ImageFolder | ImageTable | LabelledTexts | PromptRows | BoxFiles


def own_data(path: Path) -> OwnData:
    """Return what is in a file or folder.

    Raises:
        ConfigError: It is none of the known layouts, part of it is missing, or all samples have one class.
        DataError: A file is damaged.
    """
    if not path.exists():
        refuse(f"--data {path} does not exist")
    found = _read(path)
    classes = _classes(found)
    if len(classes) == 1:
        refuse(f"{path} has one class, '{classes[0]}', and a classifier needs several", "add samples of another class")
    return found


def _classes(data: OwnData) -> Sequence[str]:
    if isinstance(data, LabelledTexts):
        return data.labels
    return data.classes if isinstance(data, ImageFolder | ImageTable) else ()


def _read(path: Path) -> OwnData:
    if path.is_file() and path.suffix.lower() in TABLES:
        return image_table(path) or _prompts(path) or _without_test(path)
    if path.is_dir() and (path / "train").is_dir() and not find_table(path, ["train"], TABLES):
        return image_folder(path)
    if path.is_dir() and (files := _annotations(path)):
        return _boxes(path, files)
    return _tables(path) if path.is_dir() else _unknown(path)


def _tables(folder: Path) -> OwnData:
    """Return the images or texts of the tables in a folder."""
    if (images := image_table(folder)) is not None:
        return images
    if (train := find_table(folder, ["train"], TABLES)) is not None:
        return _prompts(train) or _texts(folder, train)
    if classes := class_folders(folder):
        refuse(
            f"{folder} has a folder of images for each of {listed(classes)}, but no train/ and val/",
            "move these folders into train/, and some images of each class into val/CLASS/",
        )
    if has_images(folder):
        refuse(
            f"{folder} has images without labels",
            "put them into train/CLASS/ and val/CLASS/, or add a table labels.csv with the columns path and label; for "
            "images without labels, write the file by hand with distill_vision.data.unlabelled_images",
        )
    return _unknown(folder)


def _unknown(path: Path) -> NoReturn:
    refuse(f"--data {path} has no known layout", f"give {LAYOUTS}")


def _without_test(file: Path) -> OwnData:
    refuse(
        f"{file} is one file of texts, and a test needs another",
        "give a folder with train.csv and test.csv, or the like",
    )


def _prompts(file: Path) -> PromptRows | None:
    columns = package("distill_nlp.tables").read_rows(file)
    if "messages" not in columns and not {"prompt", "completion"} <= set(columns):
        return None
    rows = [""] * len(next(iter(columns.values())))
    if len(rows) < _FEWEST_ROWS:
        refuse(f"{file} has {len(rows)} rows, too few for training, validation and a test", "add rows")
    num_val = len(package("distill_nlp.data").split_documents(rows, "val"))
    kind: Literal["conversations", "completions"] = "conversations" if "messages" in columns else "completions"
    return PromptRows(file, kind, len(rows) - 2 * num_val, num_val)


def _texts(folder: Path, train: Path) -> LabelledTexts:
    val, test = find_table(folder, VAL, TABLES), find_table(folder, ["test"], TABLES)
    if test is None:
        test, val = val, None
    if test is None:
        refuse(f"{folder} has no table for the test beside {train.name}", f"add test{train.suffix}")
    table = package("distill_nlp.tables").read_rows(train)
    target = next((name for name in TARGETS if name in table), None)
    if target is None:
        refuse(f"{train} has no column of labels", f"call one of {', '.join(table)} `label`")
    _check_filled(table, target, "label")
    labels = sorted(
        {str(label).strip() for label in table[target]},
        key=lambda text: (len(text), text) if text.isdigit() else (0, text),
    )
    texts = [name for name in table if name != target and all(isinstance(cell, str) for cell in table[name])]
    if not texts:
        refuse(f"{train} has no column of texts")
    known = [name for name in _TEXTS if name in texts]
    column = known[0] if known else max(texts, key=lambda name: sum(map(len, table[name])))
    _check_filled(table, column, "text")
    for file in (test, *([val] if val else ())):
        _check_labels(file, target, labels, train)
    found = LabelledTexts(train, val, test, column, target, labels, len(table[target]))
    return found if val else _with_held_out(found)


def _check_labels(file: Path, target: str, labels: Sequence[str], train: Path) -> None:
    """Refuse a label of another table that no training text has."""
    table = package("distill_nlp.tables").read_rows(file)
    if target not in table:
        refuse(f"{file} has no column '{target}'", f"name its columns as in {train}")
    _check_filled(table, target, "label")
    for row, cell in enumerate(table[target]):
        if str(cell).strip() not in labels:
            hint = f"add rows of this label to {train}, or delete the row"
            refuse(f"{table.where(row)}: no text of {train} has the label '{str(cell).strip()}'", hint)


def _with_held_out(data: LabelledTexts) -> LabelledTexts:
    """Return texts of which a tenth, and at least as many as there are classes, is held out of `train`."""
    if data.num_train < 2 * len(data.labels):
        message = f"{data.train} has {data.num_train} texts of {len(data.labels)} classes, too few to hold some out"
        refuse(message, f"add rows, or a table of validation texts, val{data.train.suffix}")
    count = num_held_out(data.num_train, len(data.labels))
    return replace(data, num_train=data.num_train - count, held_out=HeldOut(count))


def _check_filled(table: Any, column: str, kind: str) -> None:
    """Refuse an empty cell of a column, as spreadsheets write a missing label: nothing, or `nan`."""
    for row, cell in enumerate(table[column]):
        word = "" if cell is None else str(cell).strip()
        if not word or (kind == "label" and word.lower() == "nan"):
            refuse(f"{table.where(row)}: the row has no {kind}", f"write the {kind} in `{column}`, or delete the row")


def _annotations(folder: Path) -> list[Path]:
    """Return the files of boxes: `instances_*.json` in `annotations`, or else all JSON files there or in the folder."""
    places = [folder / "annotations", folder]
    patterns = ("instances_*.json", "*.json")
    found = (sorted(place.glob(pattern)) for pattern in patterns for place in places if place.is_dir())
    return next((files for files in found if len(files) > 1 and any("train" in file.stem for file in files)), [])


def _boxes(folder: Path, files: Sequence[Path]) -> BoxFiles:
    train = next(file for file in files if "train" in file.stem)
    test = next(file for name in ("test", "val", "") for file in files if name in file.stem and file != train)
    names = package("distill_vision.data")
    images = [_images_of(folder, file) for file in (train, test)]
    load = partial(names.coco_json, batch_size=1)
    load("test", file=test, images=images[1], train_file=train)  # it may have other categories
    if (count := len(load("test", file=train, images=images[0]).dataset)) < 2:
        refuse(f"{train} has {count} image, and validation needs another", "add images")
    held_out = HeldOut(num_held_out(count))
    data = load("train", file=train, images=images[0], holdout=held_out.count).dataset
    return BoxFiles(train, images[0], test, images[1], max(data.names) + 1, len(data), held_out)


def _images_of(folder: Path, file: Path) -> Path:
    """Return the folder of the images of a file: one whose name is in that of the file, `images`, or the folder itself."""
    names = sorted((each for each in folder.iterdir() if each.is_dir()), key=lambda each: -len(each.name))
    inside = sorted((each for each in (folder / "images").glob("*") if each.is_dir()), key=lambda each: -len(each.name))
    named = next((each for each in (*names, *inside) if each.name in file.stem), None)
    return named or (folder / "images" if (folder / "images").is_dir() else folder)
