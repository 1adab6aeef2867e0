"""Recipes of language models: two batches of each with small models of the same kinds, and the script's table."""

from __future__ import annotations

import functools
import json
import math
import platform
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import distill_core.weights
from distill_core.cli._load import load_document
from distill_core.config import Builder, NodesByKey, read
from distill_core.data import Loader, TensorData
from distill_core.train import Checkpoint, Evaluate, Trainer
from distill_nlp.tokenizers import byte_level

CONFIGS = Path(__file__).resolve().parents[2] / "benchmarks/language_modelling/configs"
FILES = sorted(CONFIGS.glob("**/*.yaml"))
SMALL = {
    "n_layer": 1, "n_embd": 16, "n_head": 2, "vocab_size": 64,
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "pad_token_id": 0,
}  # fmt: skip
LENGTH = 12


class Generated(TensorData):
    """Six samples like the example: tokens, the last of which are the completion."""

    def __init__(self, example: dict[str, torch.Tensor]) -> None:
        self.names = [name for name in example if name != "index"]
        super().__init__({"index": torch.arange(6)})

    def batch(self, indices, seeds):
        fields: dict[str, torch.Tensor] = {}
        for prefix in sorted({name.rpartition("input_ids")[0] for name in self.names if name.endswith("input_ids")}):
            tokens = torch.randint(1, 60, (len(indices), LENGTH + 1))
            mask = torch.arange(LENGTH) >= indices[:, None] % 4 + 2
            fields |= {
                f"{prefix}input_ids": tokens[:, :-1],
                f"{prefix}target": tokens[:, 1:].masked_fill(~mask, -100),
                f"{prefix}mask": mask,
            }
        return fields


def generated(loader: functools.partial) -> Loader:
    """Return a loader of two small batches in place of the file's."""
    return Loader(Generated(loader.func.example_batch(*loader.args, **loader.keywords)), 3)


def overrides(file: Path, folder: Path) -> list[str]:
    """Use small models, a local tokenizer and short completions."""
    document = load_document(file, [])
    changes = []
    for key, node in document.root.value:
        if key.value.endswith("_config"):
            names = [name.value for name, _ in node.value]
            changes += [f"{key.value}.{name}={SMALL[name]}" for name in names if name in SMALL]
        if key.value in ("_tokenizer", "_teacher_tokenizer") and file.parent.name != "python_docs":
            changes.append(f"{key.value}={folder}")
        if key.value == "models":
            for name, model in node.value:
                options = [option.value for option, _ in model.value] if model.id == "mapping" else []
                changes += [f"models.{name.value}.max_new_tokens=3"] if "max_new_tokens" in options else []
        if key.value == "precision":
            changes.append("precision=fp32")
    return changes


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_level([], vocab_size=257).save_pretrained(folder)
    return folder


@pytest.fixture
def _here(monkeypatch, tmp_path):
    """Weights are on nobody's disk, and the library's documentation is two sentences."""

    @functools.wraps(distill_core.weights.load_weights)
    def load_weights(model, path, *, strict=True):
        return model

    monkeypatch.setattr(distill_core.weights, "load_weights", load_weights)
    kept = tmp_path / f"runs/python_docs/python-{platform.python_version()}.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps(["one of them " * 20, "another " * 40] * 20))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
@pytest.mark.usefixtures("_here")
def test_two_batches_of_a_file(file, tokenizer_folder, seen):
    document = load_document(file, overrides(file, tokenizer_folder))
    for node in NodesByKey(document).loaders():
        node.tag = node.tag.replace("!import_call", "!import_partial", 1)
    built = Builder(document).decode(document.root, distill_core.experiment.Experiment)
    for callback in built.callbacks:
        if isinstance(callback, Evaluate):
            callback.evaluation = replace(callback.evaluation, loader=generated(callback.evaluation.loader))
    ready = replace(
        built,
        data={split: generated(loader) for split, loader in built.data.items()},
        stages=[replace(stage, epochs=1, accumulate=1) for stage in built.stages],
        callbacks=[callback for callback in built.callbacks if not isinstance(callback, Checkpoint)],
        test=replace(built.test, loader=generated(built.test.loader)),
        log_every=1,
    )
    student = ready.models["student"]
    assert sum(parameter.numel() for parameter in student.parameters()) < 500_000
    before = {key: value.clone() for key, value in student.state_dict().items()}
    results = Trainer(ready, callbacks=[seen]).fit()
    assert len(seen.terms) == 2 * len(ready.stages)
    assert all(math.isfinite(value) for terms in seen.terms for value in terms.values())
    assert all(math.isfinite(value) for value in results["last"]["test"].values())
    assert any(not torch.equal(before[key], value) for key, value in student.state_dict().items())


def test_every_sequence_loss_has_a_recipe():
    named = {word.strip("{},") for file in FILES for word in file.read_text().split() if "distill_core.losses." in word}
    losses = {name.rpartition(".")[2] for name in named}
    assert losses >= {
        "TokenCELoss", "ForwardKLLoss", "ReverseKLLoss", "GeneralisedJSDLoss", "SkewedKLLoss", "TAIDLoss", "AKLLoss",
        "ABKDLoss", "TopKKLLoss", "ULDLoss", "SampledReverseKLLoss", "DSKDLoss", "DSKDCMALoss",
    }  # fmt: skip


def test_the_script_names_files_that_are_there():
    import runpy

    rows = runpy.run_path(str(CONFIGS.parent / "run.py"))["ROWS"]
    assert {file.stem for file in FILES if file.parent.name == "python_docs"} == set(rows)
    abouts = [read(CONFIGS / "python_docs" / f"{row}.yaml") for row in rows]
    assert len(
        {value.value for document in abouts for key, value in document.root.value if key.value == "about"}
    ) == len(rows)
