"""A model and its tokenizer in a folder in the layout of transformers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data import class_names_of_model
from ..errors import DistillError
from ._inputs import Inputs, proofs
from ._tensors_only import answer

PIPELINES = {
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForMaskedLM": "fill-mask",
}


def pipeline_of(network: nn.Module) -> str:
    """Return the task of a model in a pipeline of transformers, "" if it is not known."""
    name = type(network).__name__
    return next((task for suffix, task in PIPELINES.items() if name.endswith(suffix)), "")


def write_pretrained(
    network: nn.Module,
    folder: Path,
    *,
    tokenizer: Any = None,
    weights: Mapping[str, Tensor] | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Write a model of transformers or PEFT for `from_pretrained`, with its tokenizer and chat template.

    Its config gets the default `use_cache`, because the saved model will generate.

    Args:
        network: The model.
        folder: The output folder.
        tokenizer: The tokenizer, if any.
        weights: The weights by name, if they differ from those in the model, such as the complete ones of a sharded model.
        class_names: The classes in the order of the outputs, for the config of a classifier that has no names of its own.
    """
    model: Any = network
    with _use_cache_by_default(model), _named_classes(model, class_names):
        model.save_pretrained(folder, state_dict=dict(weights) if weights is not None else None)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def replace_folder(written: Path, folder: Path) -> None:
    """Move a folder to its path, in place of an earlier one that holds a model.

    Raises:
        DistillError: The path holds something else.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / "config.json").is_file()):
        message = f"{folder} exists and does not hold a model"
        raise DistillError(message, hint="name an empty folder, or remove it")
    if folder.is_dir():
        shutil.rmtree(folder)
    written.replace(folder)


def prove_folder(network: nn.Module, folder: Path, inputs: Inputs) -> str:
    """Load a folder with the class of the model, compare both on real samples, and return the proof.

    Raises:
        DistillError: The outputs differ.
    """
    kind: Any = type(network)
    again = kind.from_pretrained(folder).eval()
    return compare_outputs(network, again, inputs, "the saved model")


def compare_outputs(expected: nn.Module, found: nn.Module, inputs: Inputs, subject: str) -> str:
    """Compare the outputs of two models on real samples of several sizes, and return a sentence about it.

    Raises:
        DistillError: The outputs differ by more than rounding.
    """
    with torch.no_grad():
        for case in proofs(expected, inputs):
            pairs = zip(answer(expected(**case)).values(), answer(found(**case)).values(), strict=True)
            for ours, theirs in pairs:
                tolerance = 2e-2 if ours.dtype in (torch.float16, torch.bfloat16) else 1e-4
                difference = (ours.double() - theirs.double()).abs()
                if not bool((difference <= tolerance * (1 + ours.double().abs())).all()):
                    message = f"the outputs of {subject} differ from the model's by {difference.max().item():g}"
                    raise DistillError(message)
    return "its outputs equal the model's on real samples"


@contextmanager
def _use_cache_by_default(model: Any) -> Iterator[None]:
    """Set `use_cache` of a config to its class's default, and restore it."""
    config = model.config
    parts = {id(part): part for part in (config, config.get_text_config())}.values()
    before = [
        (part, part.use_cache, getattr(type(part)(), "use_cache", None)) for part in parts if hasattr(part, "use_cache")
    ]
    for part, _, default in before:
        if default is not None:
            part.use_cache = default
    try:
        yield
    finally:
        for part, value, _ in before:
            part.use_cache = value


@contextmanager
def _named_classes(model: Any, names: Sequence[str]) -> Iterator[None]:
    """Set the names of classes in the config of a classifier that has none, and restore it."""
    config = model.config
    is_classifier = type(model).__name__.endswith("Classification") and config.num_labels == len(names)
    if not is_classifier or class_names_of_model(model):
        yield
        return
    before = config.id2label, config.label2id
    config.id2label, config.label2id = dict(enumerate(names)), {name: index for index, name in enumerate(names)}
    try:
        yield
    finally:
        config.id2label, config.label2id = before
