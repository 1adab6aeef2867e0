"""Tokenizers in the folders of models are compared by their tokens, not by their sizes."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from distill_core import losses as core
from distill_core.cli._app import app
from distill_core.errors import WiringError
from distill_core.preview import preview
from distill_core.train import Trainer
from distill_nlp.data import language_modelling
from distill_nlp.models import from_pretrained
from distill_nlp.tokenizers import byte_level

from .padded import LARGE, SMALL, TEXTS, assert_equal, batch_of, by_hand, experiment_of, trained_gradient


@pytest.fixture(scope="module")
def bpe():
    return byte_level(TEXTS, vocab_size=270)


@pytest.fixture
def with_tokenizer(decoder, tmp_path):
    """Return a function that returns a model whose folder has a tokenizer."""

    def load(name, tokenizer, family, size):
        decoder(family, vocab_size=size).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        return from_pretrained("AutoModelForCausalLM", tmp_path / name)

    return load


@pytest.mark.parametrize("name", ["ForwardKLLoss", "ULDLoss"])
def test_tokenizers_in_the_folders_are_compared(with_tokenizer, bpe, name):
    other = byte_level([text.upper() for text in TEXTS], vocab_size=270)
    assert len(other) == len(bpe)
    models = {
        "teacher": with_tokenizer("teacher", other, "qwen3", LARGE),
        "student": with_tokenizer("student", bpe, "llama", SMALL),
    }
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=50, block=10, shuffle=False)
    experiment = experiment_of(models, loader, getattr(core, name)())
    if name == "ULDLoss":
        expected = by_hand(models, batch_of(loader), lambda s, t, b: core.ULDLoss()(s, t, b["mask"]), LARGE)
        assert_equal(trained_gradient(experiment), expected)
        return
    message = (
        "losses.kd: ForwardKLLoss compares the logits of 'student' (270 tokens) and 'teacher' (270 tokens) one by one, "
        "but their tokenizers differ\n"
        "  hint: use ULDLoss, which compares sorted probabilities, or models of one tokenizer"
    )
    with pytest.raises(WiringError) as caught:
        Trainer(experiment).fit()
    assert str(caught.value) == message
    assert "but their tokenizers differ" in str(preview(experiment).problems[0])


def test_different_tokenizers_of_one_size_are_noted(with_tokenizer, bpe):
    other = byte_level([text.upper() for text in TEXTS], vocab_size=270)
    models = {
        "teacher": with_tokenizer("teacher", other, "qwen3", LARGE),
        "student": with_tokenizer("student", bpe, "llama", LARGE),
    }
    loader = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=50, block=10, shuffle=False)
    (note,) = preview(experiment_of(models, loader, core.ForwardKLLoss())).stages[0].notes
    assert "one by one, but their tokenizers differ" in str(note)


FILE = """
models:
  teacher: !import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForCausalLM, name_or_path: TEACHER}
  student: !import_call:distill_nlp.models.from_pretrained {auto_class: AutoModelForCausalLM, name_or_path: STUDENT}
data:
  train: !import_call:distill_nlp.data.language_modelling
    {documents: [some text, more text], split: all, tokenizer: STUDENT, batch_size: 2, block: 8}
stages:
  - epochs: 1
    train: [student]
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    feed: {student: {input_ids: batch.input_ids}, teacher: {input_ids: batch.input_ids}}
    losses:
      kd: {loss: !import_call:ForwardKLLoss {}, inputs: {student: student:out.logits, teacher: teacher:out.logits}}
"""


def test_check_deep_says_what_will_happen(with_tokenizer, bpe, tmp_path):
    with_tokenizer("teacher", bpe, "qwen3", LARGE)
    with_tokenizer("student", bpe, "llama", SMALL)
    file = tmp_path / "a.yaml"
    file.write_text(
        FILE.replace("TEACHER", str(tmp_path / "teacher")).replace("STUDENT", str(tmp_path / "student")), "utf-8"
    )
    ended = CliRunner().invoke(app, ["check", str(file), "--deep"])
    assert ended.exit_code == 0, ended.output
    assert "the losses compare the first 272 logits" in " ".join(ended.output.split())
