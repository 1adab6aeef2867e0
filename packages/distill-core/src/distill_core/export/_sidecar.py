"""The files beside an exported model: class names, preprocessing, tokenizer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from ..data import as_loader, class_names_of_data, class_names_of_model, preprocessing_of
from ..experiment import Experiment
from ._export import Exported


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
    training = experiment.data.get("train", next(iter(experiment.data.values()), None))
    raw = experiment.test.loader if experiment.test else training
    loader = None if raw is None else as_loader(raw)
    dataset = None if loader is None else loader.dataset
    tokenizers = [getattr(each, "tokenizer", None) for each in (*experiment.callbacks, dataset)]
    return Sidecar(
        class_names=(() if loader is None else class_names_of_data(loader)) or class_names_of_model(network),
        preprocessing={} if loader is None else preprocessing_of(loader),
        tokenizer=next((each for each in tokenizers if hasattr(each, "save_pretrained")), None),
    )
