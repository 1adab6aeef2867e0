"""The files beside an exported model: class names, preprocessing, tokenizer."""

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

MAX_DEPTH = 6
_SIZES = {"Resize": "resize", "CenterCrop": "size"}


@dataclass(frozen=True)
class Sidecar:
    """The preprocessing, class names and tokenizer of an exported model.

    Attributes:
        class_names: The classes in the order of the outputs; empty if unknown.
        preprocessing: `mean`, `std` and `scale` of pixels, `resize` and `size` of images, as far as known.
        tokenizer: The tokenizer, if any.
    """

    class_names: tuple[str, ...] = ()
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Any = None

    def write(self, exported: Exported) -> list[Path]:
        """Write `<file>.json` and `<file>_tokenizer/` beside a file, and return their paths."""
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


def describe_data(experiment: Experiment, network: nn.Module) -> Sidecar:
    """Collect class names, preprocessing and tokenizer from the test or training data, the callbacks and the model."""
    raw = experiment.test.loader if experiment.test else experiment.data["train"]
    loader = as_loader(raw)
    tokenizers = [getattr(each, "tokenizer", None) for each in (*experiment.callbacks, loader.dataset)]
    return Sidecar(
        class_names=class_names_of_data(loader) or class_names_of_model(network),
        preprocessing=_preprocessing(loader),
        tokenizer=next((each for each in tokenizers if hasattr(each, "save_pretrained")), None),
    )


def _preprocessing(loader: Any) -> dict[str, Any]:
    """Return the normalisation and sizes of a loader's transforms."""
    settings: dict[str, Any] = {}
    for each in _parts(loader.dataset, MAX_DEPTH):
        kind = type(each).__name__
        if kind in _SIZES:
            settings.setdefault(_SIZES[kind], _numbers(each.size))
        elif hasattr(each, "mean") and hasattr(each, "std") and not callable(each.mean):
            settings.setdefault("mean", _numbers(each.mean))
            settings.setdefault("std", _numbers(each.std))
            settings.setdefault("scale", float(getattr(each, "scale", 255.0)))
    return settings


def _parts(value: Any, depth: int) -> Iterator[Any]:
    """Yield an object and the objects in its attributes, without its data."""
    if depth == 0 or isinstance(value, str | bytes | int | float | type) or value is None:
        return
    if isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, list | tuple):
        children = list(value) if len(value) < 100 else []
    else:
        yield value
        children = [each for name, each in getattr(value, "__dict__", {}).items() if not name.startswith("__")]
    for child in children:
        yield from _parts(child, depth - 1)


def _numbers(value: Any) -> Any:
    return (
        [float(each) if isinstance(each, float) else int(each) for each in value]
        if hasattr(value, "__iter__")
        else value
    )
