"""Means over tokens: a batch in two parts gives the weights of the whole one, though one part has far more tokens."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from distill_core.data import Loader
from distill_core.train import Experiment, Stage, Term, Trainer
from distill_nlp.data import EncodedTexts
from distill_nlp.losses import HiddenCosineLoss, MiniLMLoss, TinyBERTHiddenLoss
from distill_nlp.models import tiny_bert

LOSSES = {
    "cosine": (lambda: HiddenCosineLoss(), "{}.bert.encoder.layer.0"),
    "hidden": (lambda: TinyBERTHiddenLoss(8, 8), "{}.bert.encoder.layer.0"),
    "relations": (lambda: MiniLMLoss(2), ["{}.bert.encoder.layer.0.attention.self." + p for p in ("query", "key", "value")]),
}  # fmt: skip


def trained(tokenizer, name: str, batch_size: int, accumulate: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    models = {
        role: tiny_bert(vocab_size=200, layers=1, width=8, heads=2, dropout=0.0) for role in ("teacher", "student")
    }
    make, taps = LOSSES[name]
    inputs = {
        role: taps.format(role) if isinstance(taps, str) else [tap.format(role) for tap in taps] for role in models
    }
    texts = EncodedTexts([["the film " * words for words in (1, 9, 2, 12, 1, 3, 8, 1)]], None, tokenizer)
    stage = Stage(
        epochs=1,
        losses={name: Term(loss=make(), inputs=inputs | {"mask": "batch.attention_mask"})},
        optimizer=partial(torch.optim.SGD, lr=0.5),
        accumulate=accumulate,
        feed={role: {"input_ids": "batch.input_ids", "attention_mask": "batch.attention_mask"} for role in models},
    )
    loader = Loader(texts, batch_size, collate=texts.collate)
    Trainer(Experiment(models=models, data={"train": loader}, stages=[stage])).fit()
    return models["student"].state_dict()


@pytest.mark.parametrize("name", LOSSES)
def test_two_halves_weigh_what_their_tokens_weigh(name, tokenizer):
    whole, halves = trained(tokenizer, name, 4, 1), trained(tokenizer, name, 2, 2)
    torch.testing.assert_close(halves, whole, rtol=1e-5, atol=1e-6)
