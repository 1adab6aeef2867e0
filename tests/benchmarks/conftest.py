"""Fixtures for tests of recipes: a tiny BERT in place of a model from the hub, and the losses that training logs."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from distill_core.cache import hash_tensors
from distill_core.train import Callback

WIDTH = 24
LABELS = {"mnli": 3, "stsb": 1, "conll2003": 9}


@pytest.fixture(scope="session")
def instead(tmp_path_factory):
    """Return overrides that replace a file's model from the hub by a tiny one with the number of labels of the task."""
    from transformers import BertForMaskedLM

    from distill_core.config import read
    from distill_nlp.models import tiny_bert
    from distill_nlp.tokenizers import wordpiece

    made: dict[str, Path] = {}

    def folder(task: str) -> Path:
        if task not in made:
            labels = LABELS.get(task, 2)
            if task == "smollm2":
                made[task] = tmp_path_factory.mktemp("model") / "llama"
                small_llama(made[task])
                return made[task]
            made[task] = tmp_path_factory.mktemp("model") / f"labels{labels}"
            model = tiny_bert(vocab_size=64, layers=6, width=WIDTH, heads=12, intermediate=8, num_labels=labels)
            if task == "masked_words":
                model = BertForMaskedLM(model.config)
            model.save_pretrained(made[task])
            wordpiece(["a text of a few words"]).save_pretrained(made[task])
        return made[task]

    def changes(file: Path) -> list[str]:
        keys = [key.value for key, _ in read(file).root.value]
        tiny = folder(file.parent.name)
        named = [f"{key}={tiny}" for key in ("_model", "_teacher") if key in keys]
        return named + [f"{key}={WIDTH}" for key in ("_width", "_teacher_width") if key in keys]

    return changes


def small_llama(folder: Path) -> None:
    """Save a Llama with as many layers as SmolLM2, and a byte-level tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from distill_nlp.tokenizers import byte_level

    config = LlamaConfig(
        vocab_size=257, hidden_size=8, intermediate_size=8, num_hidden_layers=30, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=1024, bos_token_id=0, eos_token_id=0, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    byte_level([], vocab_size=257).save_pretrained(folder)


def digest(model: nn.Module) -> str:
    """Return a hash of all parameters and buffers."""
    return hash_tensors({**dict(model.named_parameters()), **dict(model.named_buffers())}.items())


class Losses(Callback):
    """Records the logged losses, and verifies that the run does not change frozen models."""

    def __init__(self) -> None:
        self.terms: list[dict[str, float]] = []
        self.built: dict[str, str] = {}

    def on_fit_start(self, trainer) -> None:
        self.built = {name: digest(model) for name, model in trainer.models.items()}

    def on_fit_end(self, trainer, results) -> None:
        learning = {*trainer.state.learnt, *trainer.ema.names}
        frozen = {name: model for name, model in trainer.models.items() if name not in learning}
        assert {name: digest(model) for name, model in frozen.items()} == {name: self.built[name] for name in frozen}

    def on_log(self, trainer, record) -> None:
        if record["split"] == "train":
            self.terms.append(record["losses"])


@pytest.fixture
def seen() -> Losses:
    """Return a callback that records the terms of each training log line."""
    return Losses()
