"""A user's own data: which kind of data a path holds, and what an experiment needs to know about it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..._exit import refuse

TABLES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
LAYOUTS = (
    "a folder with train/CLASS/IMAGE and val/CLASS/IMAGE, with train.csv and test.csv (or .tsv, .jsonl, .parquet), or with "
    "COCO's annotations/*.json; or a file of conversations or of prompts and completions"
)
_TARGETS = ("label", "labels", "target", "class", "category")
_TEXTS = ("sentence", "text", "review", "content", "body", "question", "title")


@dataclass(frozen=True)
class ImageFolder:
    """Images in a folder for each class; `test` is the folder of the test split, `holdout` the size of `val`."""

    root: Path
    classes: Sequence[str]
    num_train: int
    test: str
    holdout: int


@dataclass(frozen=True)
class LabelledTexts:
    """Tables of texts with classes; `val` is None without a file for it."""

    train: Path
    val: Path | None
    test: Path
    column: str
    target: str
    labels: Sequence[str]
    num_train: int


@dataclass(frozen=True)
class PromptRows:
    """A file of conversations, or of prompts with completions."""

    file: Path
    kind: Literal["conversations", "completions"]


@dataclass(frozen=True)
class BoxFiles:
    """Images with boxes in two files of COCO's format; `num_classes` includes the background."""

    train: Path
    train_images: Path
    test: Path
    test_images: Path
    num_classes: int
    num_train: int


OwnData = ImageFolder | LabelledTexts | PromptRows | BoxFiles


def own_data(path: Path) -> OwnData:
    """Return what is in a file or folder.

    Raises:
        ConfigError: It is none of the known layouts, or part of it is missing.
        DataError: A file is damaged.
    """
    if not path.exists():
        refuse(f"--data {path} does not exist")
    if path.is_file() and path.suffix.lower() in TABLES:
        return _prompts(path) or _without_test(path)
    if path.is_dir() and (path / "train").is_dir():
        return _image_folder(path)
    if path.is_dir() and (files := _annotations(path)):
        return _boxes(path, files)
    train = _table(path, "train") if path.is_dir() else None
    if train is None:
        refuse(f"--data {path} has no known layout", f"give {LAYOUTS}")
    return _prompts(train) or _texts(path, train)


def package(name: str) -> Any:
    """Return a module of a package of Distill.

    Raises:
        ConfigError: The package is not installed.
    """
    root = name.partition(".")[0]
    if importlib.util.find_spec(root) is None:
        refuse(f"these data need {root}", f"pip install {root.replace('_', '-')}")
    return importlib.import_module(name)


def _image_folder(root: Path) -> ImageFolder:
    named = [name for name in ("test", "val", "validation", "valid") if (root / name).is_dir()]
    if not named:
        refuse(f"{root} has no images for the test beside train/", "put some of each class into val/CLASS/")
    data = package("distill_vision.data").image_folder("train", root=root, batch_size=1).dataset
    count = len(data)
    holdout = 0 if named[0] == "test" and (root / "val").is_dir() else max(len(data.classes), count // 10)
    return ImageFolder(root, data.classes, count - holdout, named[0], holdout)


def _table(folder: Path, *names: str) -> Path | None:
    files = (folder / f"{name}{suffix}" for name in names for suffix in TABLES)
    return next((file for file in files if file.is_file()), None)


def _without_test(file: Path) -> OwnData:
    refuse(
        f"{file} is one file of texts, and a test needs another",
        "give a folder with train.csv and test.csv, or the like",
    )


def _prompts(file: Path) -> PromptRows | None:
    columns = package("distill_nlp.tables").read_rows(file)
    if "messages" in columns:
        return PromptRows(file, "conversations")
    return PromptRows(file, "completions") if {"prompt", "completion"} <= set(columns) else None


def _texts(folder: Path, train: Path) -> LabelledTexts:
    val, test = _table(folder, "val", "dev", "valid", "validation"), _table(folder, "test")
    if test is None:
        test, val = val, None
    if test is None:
        refuse(f"{folder} has no table for the test beside {train.name}", f"add test{train.suffix}")
    table = package("distill_nlp.tables").read_rows(train)
    target = next((name for name in _TARGETS if name in table), None)
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
    return LabelledTexts(train, val, test, column, target, labels, len(table[target]))


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
    data = names.coco_json("train", file=train, images=images[0], batch_size=1).dataset
    return BoxFiles(train, images[0], test, images[1], max(data.names) + 1, len(data))


def _images_of(folder: Path, file: Path) -> Path:
    """Return the folder of the images of a file: one whose name is in that of the file, `images`, or the folder itself."""
    names = sorted((each for each in folder.iterdir() if each.is_dir()), key=lambda each: -len(each.name))
    inside = sorted((each for each in (folder / "images").glob("*") if each.is_dir()), key=lambda each: -len(each.name))
    named = next((each for each in (*names, *inside) if each.name in file.stem), None)
    return named or (folder / "images" if (folder / "images").is_dir() else folder)
