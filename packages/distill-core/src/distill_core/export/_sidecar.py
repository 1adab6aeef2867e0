"""What travels with an exported model: class names, preprocessing, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..data import as_loader, class_names_of_data, class_names_of_model
from ..experiment import Experiment
from ._export import Exported

DEEPEST = 6
_SIZES = {"Resize": "resize", "CenterCrop": "size"}


@dataclass(frozen=True)
class Travels:
    """What a user of the file needs besides it.

    Attributes:
        class_names: The classes in the order of the outputs; empty if nobody names them.
        preprocessing: `mean`, `std` and `scale` of pixels, `resize` and `size` of images, as far as they are known.
        tokenizer: The tokenizer, if there is one.
    """

    class_names: tuple[str, ...] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None

    def write(self, exported: Exported) -> list[Path]:
        """Write `<file>.json` and `<file>_tokenizer/` beside a file; return what was written."""
        stem = exported.file.with_suffix("")
        written = [stem.with_name(f"{stem.name}.json")]
        record: dict[str, Any] = {
            "file": exported.file.name,
            "format": exported.format,
            "inputs": exported.inputs,
            "outputs": exported.outputs,
            "class_names": self.class_names,
            "preprocessing": self.preprocessing,
        }
        if self.tokenizer is not None:
            folder = stem.with_name(f"{stem.name}_tokenizer")
            self.tokenizer.save_pretrained(folder)
            record["tokenizer"] = folder.name
            written.append(folder)
        written[0].write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return written


def describe_data(experiment: Experiment, network: nn.Module) -> Travels:
    """Collect what the run's own data and callbacks say; the test's data come first."""
    raw = experiment.test.loader if experiment.test else experiment.data["train"]
    loader = as_loader(raw)
    tokenizers = [getattr(each, "tokenizer", None) for each in (*experiment.callbacks, loader.dataset)]
    return Travels(
        class_names=class_names_of_data(loader) or class_names_of_model(network),
        preprocessing=_preprocessing(loader),
        tokenizer=next((each for each in tokenizers if hasattr(each, "save_pretrained")), None),
    )


def _preprocessing(loader: Any) -> dict[str, Any]:
    """What the transforms of a loader say of themselves: normalisation and sizes."""
    found: dict[str, Any] = {}
    for each in _parts(loader.dataset, DEEPEST):
        kind = type(each).__name__
        if kind in _SIZES:
            found.setdefault(_SIZES[kind], _numbers(each.size))
        elif hasattr(each, "mean") and hasattr(each, "std") and not callable(each.mean):
            found.setdefault("mean", _numbers(each.mean))
            found.setdefault("std", _numbers(each.std))
            found.setdefault("scale", float(getattr(each, "scale", 255.0)))
    return found


def _parts(value: Any, deepest: int) -> Iterator[Any]:
    """An object and what it is made of, without its data."""
    if deepest == 0 or isinstance(value, str | bytes | int | float | type) or value is None:
        return
    if isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, list | tuple):
        children = list(value) if len(value) < 100 else []
    else:
        yield value
        children = [each for name, each in getattr(value, "__dict__", {}).items() if not name.startswith("__")]
    for child in children:
        yield from _parts(child, deepest - 1)


def _numbers(value: Any) -> Any:
    return (
        [float(each) if isinstance(each, float) else int(each) for each in value]
        if hasattr(value, "__iter__")
        else value
    )
