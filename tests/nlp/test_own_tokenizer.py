"""A teacher with a tokenizer of its own by one key, `sources: {teacher: {tokenizer: …}}`: it equals the file written by hand."""

from __future__ import annotations

import csv
import json
import os
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill_core.cli import run_experiment
from distill_core.config import read
from distill_core.errors import DistillError, WiringError
from distill_core.experiment import SourceSettings
from distill_core.train import Trainer
from distill_nlp.data import glue_texts, text_classification
from distill_nlp.tokenizers import byte_level, wordpiece

FILE = """
models:
  teacher: !import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForSequenceClassification, name_or_path: teacher}
  student: !import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForSequenceClassification, name_or_path: student}
data:
  train: !import_call:distill_nlp.data.text_classification &texts
    {file: texts.csv, tokenizer: student, batch_size: 8, max_length: 12, shuffle: true LONG}
sources:
  teacher: {precision: fp32 SHORT}
stages:
  - epochs: 2
    train: [student]
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    feed:
      student: STUDENT
      teacher: TEACHER
    losses:
      kd: {loss: !import_call:KDLoss {}, inputs: {student: student:out.logits, teacher: teacher:out.logits}}
test:
  loader: !import_call:distill_nlp.data.text_classification {file: texts.csv, tokenizer: student, batch_size: 8, max_length: 12 LONG}
  metrics:
    teacher: {metric: !import_call:distill_nlp.metrics.Accuracy {}, inputs: {preds: teacher:out.logits, target: batch.target}}
"""
FIELDS = "{input_ids: batch.input_ids, attention_mask: batch.attention_mask}"


def written(short: str, long: str, teacher: str = "*fields") -> str:
    text = FILE.replace(" SHORT", short).replace(" LONG", long).replace("TEACHER", teacher)
    return text.replace("STUDENT", f"&fields {FIELDS}").replace(" &texts", "")


SHORT = written(", tokenizer: teacher, max_length: 20", "")
LONG = written(
    "",
    ", tokenizers: {teacher: teacher}, max_lengths: {teacher: 20}",
    FIELDS.replace("batch.", "batch.teacher_"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a table of real sentences and two small BERTs of different vocabularies."""
    from transformers import BertConfig, BertForSequenceClassification

    if "DISTILL_DATA" not in os.environ:
        pytest.skip("needs the folder DISTILL_DATA")
    folder = tmp_path_factory.mktemp("own")
    [sentences] = glue_texts("cola")
    random.seed(0)
    with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["sentence", "label"])
        rows.writerows([text, index % 2] for index, text in enumerate(random.sample(sentences, 20)))
    for name, size, texts in (("student", 120, sentences[:200]), ("teacher", 300, sentences[200:600])):
        tokenizer = wordpiece(texts, vocab_size=size)
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
            pad_token_id=tokenizer.pad_token_id, max_position_embeddings=32,
        )  # fmt: skip
        BertForSequenceClassification(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def run(text: str, name: str, monkeypatch, folder: Path, **changes: str) -> tuple[dict, dict]:
    monkeypatch.chdir(folder)
    Path(f"{name}.yaml").write_text(text, encoding="utf-8")
    results = run_experiment(
        f"{name}.yaml", [f"{key}={value}" for key, value in changes.items()], output=name, quiet=True
    )
    return results["test"], load_file(f"{name}/student.safetensors")


def test_the_key_equals_the_file_by_hand_bit_for_bit(monkeypatch, folder):
    metrics, weights = run(SHORT, "short", monkeypatch, folder)
    expected_metrics, expected = run(LONG, "long", monkeypatch, folder)
    assert metrics == expected_metrics
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    _, other = run(SHORT.replace("max_length: 20", "max_length: 6"), "other", monkeypatch, folder)
    assert not all(torch.equal(other[name], tensor) for name, tensor in expected.items())


def test_the_resolved_file_shows_what_the_key_means_and_reads_as_itself(tmp_path):
    (tmp_path / "a.yaml").write_text(SHORT, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(LONG, encoding="utf-8")
    shown = read(tmp_path / "a.yaml").dump()
    (tmp_path / "c.yaml").write_text(shown, encoding="utf-8")
    assert read(tmp_path / "c.yaml").dump() == shown
    resolved, by_hand = (" ".join(text.split()) for text in (shown, read(tmp_path / "b.yaml").dump()))
    assert resolved.count("tokenizers: {teacher: teacher}, max_lengths: {teacher: 20}") == 2
    assert "teacher: {input_ids: batch.teacher_input_ids, attention_mask: batch.teacher_attention_mask}" in resolved
    assert resolved.replace(", tokenizer: teacher, max_length: 20", "") == by_hand


def test_null_is_the_default_length(tmp_path):
    (tmp_path / "a.yaml").write_text(SHORT.replace("max_length: 20", "max_length: null"), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(SHORT.replace(", max_length: 20", ""), encoding="utf-8")
    given, omitted = (read(tmp_path / name).dump() for name in ("a.yaml", "b.yaml"))
    assert given.replace(", max_length: null", "") == omitted


def test_both_spellings_of_a_call_are_expanded(tmp_path):
    text = """
models: {}
sources: {teacher: {tokenizer: t}}
data:
  train: !import_call
    key: distill_core.data.Loader
    init: {kwargs: {dataset: !import_call {key: distill_nlp.data.glue, init: {kwargs: {task: cola, tokenizer: s}}}}}
  val: !import_call:distill_nlp.data.completions {file: a, tokenizer: s}
"""
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    shown = " ".join(read(tmp_path / "a.yaml").dump().split()).replace("{ ", "{")
    assert "tokenizer: s, tokenizers: {teacher: t}" in shown
    assert "tokenizer: s, teacher_tokenizer: t" in shown


def test_a_cache_follows_the_tokens_of_the_teacher(monkeypatch, folder):
    cached = {"cache": "{teacher: {folder: cache, views: 1}}"}
    for name, text in (
        ("first", SHORT),
        ("second", SHORT),
        ("third", SHORT.replace("max_length: 20", "max_length: 6")),
    ):
        run(text, f"cached_{name}", monkeypatch, folder, **{f"+{key}": value for key, value in cached.items()})
        assert len(list(Path("cache").glob("teacher-*"))) == (1 if name != "third" else 2), list(
            Path("cache").iterdir()
        )
    _, weights = run(SHORT, "live", monkeypatch, folder)
    cached_weights = load_file("cached_second/student.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in cached_weights.items())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tokenizer: teacher,", "tokenizer: nowhere,", "the tokenizer 'nowhere' does not exist locally"),
        ("tokenizer: teacher,", "tokenizer: empty,", "empty has no tokenizer"),
        ("tokenizer: teacher,", "tokenizer: unpadded,", "has neither a padding token nor an end token"),
        ("tokenizer: teacher,", "", "`max_length` needs `tokenizer`"),
        ("max_length: 20", "max_length: 60", "texts have up to .* tokens, but the model has 32 positions"),
    ],
)
def test_wrong_tokenizers_are_refused(monkeypatch, folder, old, new, message):
    (folder / "empty").mkdir(exist_ok=True)
    from transformers import PreTrainedTokenizerFast

    if not (folder / "unpadded").exists():
        from tokenizers import Tokenizer, models

        core = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
        PreTrainedTokenizerFast(tokenizer_object=core, unk_token="a").save_pretrained(folder / "unpadded")
    assert old in SHORT
    with pytest.raises(DistillError, match=message):
        run(SHORT.replace(old, new), f"wrong_{sum(map(ord, new))}", monkeypatch, folder)


def test_in_python_the_teacher_must_read_its_own_tokens(folder, monkeypatch):
    from functools import partial

    from distill_core.experiment import Experiment, Stage, Term
    from distill_core.losses import KDLoss
    from distill_nlp.models import from_pretrained

    monkeypatch.chdir(folder)
    models = {name: from_pretrained("AutoModelForSequenceClassification", name) for name in ("teacher", "student")}
    data = text_classification("texts.csv", tokenizer="student", batch_size=8, max_length=12)
    feed = {name: {"input_ids": "batch.input_ids"} for name in models}
    losses = {"kd": Term(loss=KDLoss(), inputs={"student": "student:out.logits", "teacher": "teacher:out.logits"})}
    stage = Stage(epochs=1, losses=losses, optimizer=partial(torch.optim.SGD, lr=0.1), feed=feed)
    experiment = Experiment(
        models=models, data={"train": data}, stages=[stage], sources={"teacher": SourceSettings(tokenizer="teacher")}
    )
    with pytest.raises(WiringError, match=r"has a tokenizer of its own, but reads no field `batch\.teacher_…`"):
        Trainer(experiment, progress=False).fit()


CAUSAL = """
models:
  teacher: !import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForCausalLM, name_or_path: llama_teacher}
  student: !import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForCausalLM, name_or_path: llama_student}
data:
  train: !import_call:distill_nlp.data.completions {file: rows.jsonl, tokenizer: llama_student, batch_size: 2, max_length: 64}
sources: {teacher: {tokenizer: llama_teacher}}
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    feed: {student: {input_ids: batch.input_ids}, teacher: {input_ids: batch.input_ids}}
    losses:
      kd: {loss: !import_call:LOSS {}, inputs: {student: student:out.logits, teacher: teacher:out.logits, mask: MASK}}
"""


def test_language_models_of_two_tokenizers_need_a_loss_for_them(tmp_path, monkeypatch):
    from transformers import LlamaConfig, LlamaForCausalLM

    monkeypatch.chdir(tmp_path)
    texts = ["the red cat and the red dog", "the blue dog and the old bird"]
    rows = [json.dumps({"prompt": text[:8], "completion": text[8:]}) for text in texts]
    Path("rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    for name, size, learned in (("student", 272, texts), ("teacher", 512, [text.upper() for text in texts] * 9)):
        byte_level(learned, vocab_size=size).save_pretrained(f"llama_{name}")
        config = LlamaConfig(
            vocab_size=size, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        LlamaForCausalLM(config).save_pretrained(f"llama_{name}")
    Path("uld.yaml").write_text(CAUSAL.replace("LOSS", "ULDLoss").replace("MASK", "[batch.mask, batch.teacher_mask]"))
    run_experiment("uld.yaml", output="uld", quiet=True)
    Path("kl.yaml").write_text(CAUSAL.replace("LOSS", "ForwardKLLoss").replace("MASK", "batch.mask"))
    with pytest.raises(WiringError, match="one by one, but their tokenizers differ"):
        run_experiment("kl.yaml", output="kl", quiet=True)
