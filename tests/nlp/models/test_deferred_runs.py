"""A run whose models have deferred weights, and the commands after it, are those of models that are loaded at once."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE

from distill_core.cli import evaluate_run, export_run, predict_run, run_experiment

LINES = ["the film is a delight from the first scene", "the plot is a mess", "a girl is styling her hair"]
LOADED = "!import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForCausalLM, name_or_path: FOLDER}"
DEFERRED = f"!import_call:distill_core.weights.deferred {{build: {LOADED}, weights: FOLDER}}".replace(
    "{build: !import_call", "{build: !import_partial"
)
FILE = """
_tokenizer: &tokenizer STUDENT
models:
  teacher: MODEL_OF TEACHER
  student: MODEL_OF STUDENT
data:
  train: &data !import_call:distill_nlp.data.completions
    {file: ROWS, completion: output, tokenizer: *tokenizer, batch_size: 2, max_length: 32, max_prompt: 16}
ema: {student: 0.5}
stages:
  - epochs: 2
    optimizer: !import_partial:torch.optim.AdamW {lr: 1.0e-2}
    feed: {student: {input_ids: batch.input_ids}, teacher: {input_ids: batch.input_ids}}
    losses:
      kd:
        loss: !import_call:distill_core.losses.ForwardKLLoss {}
        inputs: {student: student:out.logits, teacher: teacher:out.logits, mask: batch.mask}
callbacks:
  - !import_call:distill_core.train.Checkpoint {}
test:
  loader: *data
  metrics:
    perplexity: {metric: !import_call:distill_nlp.metrics.Perplexity {}, inputs: {preds: student:out.logits, target: batch.target}}
"""


def save_models(folder):
    """Save a tied student and a teacher of more width, with a tokenizer."""
    core = Tokenizer(BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        LINES,
        trainers.BpeTrainer(vocab_size=280, special_tokens=["<|end|>"], show_progress=False, initial_alphabet=alphabet),
    )
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|end|>")
    torch.manual_seed(0)
    for name, width in (("teacher", 32), ("start", 16)):
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=width, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64, bos_token_id=0, eos_token_id=0,
            pad_token_id=0, tie_word_embeddings=name == "start",
        )  # fmt: skip
        transformers.LlamaForCausalLM(config).save_pretrained(folder / name, max_shard_size="20KB")
        tokenizer.save_pretrained(folder / name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return the folders of a run with models that are loaded, and of one with deferred weights."""
    folder = tmp_path_factory.mktemp("runs")
    save_models(folder)
    (folder / "rows.jsonl").write_text("".join(json.dumps({"prompt": x[:8], "output": x[8:]}) + "\n" for x in LINES))
    for name, model in (("loaded", LOADED), ("deferred", DEFERRED)):
        text = FILE
        for part, place in (("TEACHER", "teacher"), ("STUDENT", "start")):
            text = text.replace(f"MODEL_OF {part}", model.replace("FOLDER", str(folder / place)))
        text = text.replace("STUDENT", str(folder / "start")).replace("ROWS", str(folder / "rows.jsonl"))
        (folder / f"{name}.yaml").write_text(text)
        run_experiment(folder / f"{name}.yaml", output=folder / name, quiet=True)
    return folder / "loaded", folder / "deferred"


def test_the_runs_are_equal(runs):
    for name in ("student", "student_ema"):
        expected, found = (load_file(run / f"{name}.safetensors") for run in runs)
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_evaluate(runs, checkpoint):
    loaded, deferred = (evaluate_run(run, checkpoint=checkpoint) for run in runs)
    assert deferred == loaded
    assert deferred["test"] == json.loads((runs[1] / "results.json").read_text())["last"]["test"]


def test_evaluate_a_file(runs):
    loaded, deferred = (evaluate_run(run.parent / f"{run.name}.yaml") for run in runs)
    assert deferred == loaded
    assert deferred != evaluate_run(runs[1])


@pytest.mark.parametrize("model", ["teacher", "student", "student_ema"])
def test_predict(runs, model):
    loaded, deferred = (predict_run(run, texts=["the film", "a girl"], model=model, max_new_tokens=4) for run in runs)
    assert deferred == loaded
    assert [each["input"] for each in deferred] == ["the film", "a girl"]


@pytest.mark.parametrize("format_", ["safetensors", "transformers", pytest.param("pt2", marks=pytest.mark.slow)])
def test_export(runs, tmp_path, format_):
    """`export_run` itself compares what it wrote with the model."""
    loaded, deferred = (export_run(shutil.copytree(run, tmp_path / run.name), format=format_) for run in runs)
    if format_ == "pt2":
        tokens = torch.tensor([[5, 9, 40]])
        assert torch.equal(*(torch.export.load(path).module()(tokens) for path in (loaded, deferred)))
        return
    files = [path / "model.safetensors" if path.is_dir() else path for path in (loaded, deferred)]
    expected, found = map(load_file, files)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())
