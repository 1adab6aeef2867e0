"""Recipes of language models: two batches of each with small models of the same kinds, and the script's table."""

from __future__ import annotations

import functools
import json
import math
import platform
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import distill_core.weights
from distill_core.cli._load import load_document
from distill_core.config import Builder, NodesByKey, read
from distill_core.data import Loader, TensorData
from distill_core.experiment import Stage
from distill_core.train import Checkpoint, Evaluate, Trainer
from distill_nlp.models import SavePretrained
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
        if "position_ids" in self.names:
            fields["position_ids"] = torch.arange(LENGTH).expand(len(indices), -1)
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


def length(stage: Stage) -> dict[str, int]:
    """Return a length of two batches, in the key that the stage has."""
    return {"steps": 2} if isinstance(stage.steps, int) else {"epochs": 1}


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
@pytest.mark.usefixtures("_here")
def test_two_batches_of_a_file(file, tokenizer_folder, instead, seen):
    document = load_document(file, overrides(file, tokenizer_folder) + instead(file) * (file.parent.name == "smollm2"))
    for node in NodesByKey(document).loaders():
        node.tag = node.tag.replace("!import_call", "!import_partial", 1)
    built = Builder(document).decode(document.root, distill_core.experiment.Experiment)
    for callback in built.callbacks:
        if isinstance(callback, Evaluate):
            callback.evaluation = replace(callback.evaluation, loader=generated(callback.evaluation.loader))
    ready = replace(
        built,
        data={split: generated(loader) for split, loader in built.data.items()},
        stages=[replace(stage, accumulate=1, **length(stage)) for stage in built.stages],
        callbacks=[each for each in built.callbacks if not isinstance(each, Checkpoint | SavePretrained)],
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


def test_the_script_names_files_that_are_there(monkeypatch):
    import runpy

    monkeypatch.syspath_prepend(CONFIGS.parent)
    rows = runpy.run_path(str(CONFIGS.parent / "run.py"))["ROWS"]
    assert {file.stem for file in FILES if file.parent.name == "python_docs"} == set(rows)
    abouts = [read(CONFIGS / "python_docs" / f"{row}.yaml") for row in rows]
    assert len(
        {value.value for document in abouts for key, value in document.root.value if key.value == "about"}
    ) == len(rows)


@pytest.fixture
def smollm2(monkeypatch, tmp_path):
    """Return the module of the script on SmolLM2, in an empty folder, with a small model as its GGUF file."""
    from .conftest import small_llama

    monkeypatch.syspath_prepend(CONFIGS.parent)
    monkeypatch.chdir(tmp_path)
    import smollm2

    small_llama(tmp_path / "runs/smollm2/teacher")
    (tmp_path / "a.gguf").touch()
    yield smollm2
    for module in ("smollm2", "smollm2_data", "verdicts"):
        sys.modules.pop(module)


def test_the_script_on_smollm2_has_the_files_of_its_folder(smollm2):
    rows = {*smollm2.ROWS, smollm2.ON_POLICY}
    assert {file.stem for file in FILES if file.parent.name == "smollm2"} == rows


def test_questions_are_distinct_and_of_the_library(smollm2):
    lines = smollm2.smollm2_data.PROMPTS.read_text().splitlines()
    questions = [json.loads(line)["prompt"] for line in lines]
    assert len({*questions}) == len(questions) == 1024
    assert all(question.startswith("What is `") for question in questions)


def test_results_that_are_kept_are_not_trained_again_and_make_the_page(smollm2, tmp_path, monkeypatch):
    def results(row, seed):
        values = {"perplexity": 3.0 + seed, "agreement": 0.5}
        folder = tmp_path / "results" / row / f"seed{seed}"
        folder.mkdir(parents=True)
        record = {
            "about": row,
            "seed": seed,
            "last": {"test": values},
            "parameters": {"student": 12},
            "cpu_seconds": 90 + 60 * seed,
        }
        (folder / "results.json").write_text(json.dumps(record | {"percent": ["agreement"]}))

    for row in smollm2.ROWS:
        for seed in range(2):
            results(row, seed)
    conversations = tmp_path / "rows.jsonl"
    row = {"prompt": "What?", "completion": "That.", "completion_ids": [5] * 15, "ended": True}
    conversations.write_text((json.dumps(row) + "\n") * 4)
    monkeypatch.setattr(smollm2.smollm2_data, "CONVERSATIONS", conversations)
    trained = []

    def run(file, changes, *, output, **options):
        trained.append((file.stem, changes))
        record = {"about": "on", "seed": 0, "last": {"test": {"perplexity": 2.0, "agreement": 0.25}}, "parameters": {}}
        output.mkdir(parents=True)
        (output / "results.json").write_text(json.dumps(record))
        (output / "student.safetensors").touch()

    monkeypatch.setattr(smollm2.cli, "run_experiment", run)
    options = ["--results", str(tmp_path / "results"), "--page", str(tmp_path / "page.md"), "--conversations", "4"]
    arguments = ["--gguf", str(tmp_path / "a.gguf"), "--seeds", "2", "--tokens", "20480", *options]
    smollm2.main(arguments)
    warm, on_policy = smollm2.WARM, smollm2.ON_POLICY
    weights = "runs/smollm2/tokens20480/fkl_smollm2_10/seed0/student.safetensors"
    assert trained == [
        (warm, ["seed=0", "stages.0.steps=20"]),
        (on_policy, ["seed=0", "stages.0.steps=20", f"_student.path={weights}"]),
    ]
    page = (tmp_path / "page.md").read_text()
    assert f"| {warm} | 12 | 2 | 3.50 ± 0.71 | 50.00 ± 0.00 | 2.0 |" in page
    assert f"{warm} is within noise of no teacher (+0.0, noise 1.4)." in page
    assert "on is" not in page  # one run has no deviation
    assert "| on | 0 | 1 | 2.00 | " in page
    smollm2.main(arguments)
    assert len(trained) == 2


class Chats:
    """A tokenizer whose template is the last message."""

    def apply_chat_template(self, chats, *, add_generation_prompt, tokenize):
        return [chat[-1]["content"] for chat in chats]


def test_conversations_are_added_to_those_of_the_repository(smollm2, tmp_path, monkeypatch):
    """A chunk that the file holds is not answered again, and an interrupted call resumes."""
    data = smollm2.smollm2_data
    monkeypatch.setattr(data, "CHUNK", 2)
    monkeypatch.setattr(data, "CONVERSATIONS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(data, "find_tokenizer", lambda name: Chats())
    monkeypatch.setattr(data, "from_pretrained", lambda *given, dtype: torch.nn.Linear(1, 1))
    answered = []

    def write(model, texts, path, **options):
        if len(answered) == 3:
            raise KeyboardInterrupt
        answered.append(texts)
        path.write_text(
            "".join(json.dumps({"prompt": text, "completion": str(len(answered))}) + "\n" for text in texts)
        )

    monkeypatch.setattr(data, "write_completions", write)
    assert data.answer(tmp_path / "teacher", tmp_path / "one", 4) == 4
    first = data.CONVERSATIONS.read_text()
    with pytest.raises(KeyboardInterrupt):
        data.answer(tmp_path / "teacher", tmp_path / "two", 8)  # another machine, which has the file alone
    assert data.CONVERSATIONS.read_text() == first
    answered.clear()
    assert data.answer(tmp_path / "teacher", tmp_path / "two", 8) == 8
    assert len(answered) == 1
    assert data.CONVERSATIONS.read_text().startswith(first)
    assert [json.loads(line)["completion"] for line in data.CONVERSATIONS.read_text().splitlines()[4:]] == list("3311")
