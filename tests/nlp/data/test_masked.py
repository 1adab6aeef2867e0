"""Random masking of tokens: reproducible, with the given probability."""

from __future__ import annotations

import pytest
import torch

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_nlp.data import masked_language_modelling
from distill_nlp.tokenizers import wordpiece

TEXTS = [f"word{number % 7} of the many words of text {number % 5}" for number in range(300)]


@pytest.fixture
def tokenizer():
    return wordpiece(TEXTS, vocab_size=60)


def batches(loader, **seed_path):
    return list(loader.batches(SeedPath(**{"seed": 0, "stage": 0, "epoch": 1} | seed_path)))


def test_the_targets_are_the_chosen_tokens(tokenizer):
    loader = masked_language_modelling(TEXTS, tokenizer=tokenizer, batch_size=300, shuffle=False)
    (batch,) = batches(loader)
    plain = tokenizer(TEXTS, padding=True, return_tensors="pt")["input_ids"]
    assert torch.equal(torch.where(batch["chosen"], batch["target"], batch["input_ids"]), plain)
    assert bool((batch["target"][~batch["chosen"]] == -100).all())
    special = torch.isin(plain, torch.tensor(tokenizer.all_special_ids))
    assert not bool((batch["chosen"] & special).any())
    chosen, words = batch["chosen"].sum(), (~special).sum()
    assert chosen / words == pytest.approx(0.15, abs=0.02)
    became_mask = (batch["input_ids"] == tokenizer.mask_token_id) & batch["chosen"]
    stayed = (batch["input_ids"] == plain) & batch["chosen"]
    assert became_mask.sum() / chosen == pytest.approx(0.8, abs=0.05)
    assert stayed.sum() / chosen == pytest.approx(0.1, abs=0.05)


def test_masks_differ_between_epochs_and_repeat_within_one(tokenizer):
    loader = masked_language_modelling(TEXTS, tokenizer=tokenizer, batch_size=300, shuffle=False)
    first, again, later = batches(loader)[0], batches(loader)[0], batches(loader, epoch=2)[0]
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert not torch.equal(first["chosen"], later["chosen"])


def test_a_batch_has_the_fields_of_its_example(tokenizer):
    batch = batches(masked_language_modelling(TEXTS, tokenizer=tokenizer, batch_size=4))[0]
    example = masked_language_modelling.example_batch("nowhere.json", tokenizer=tokenizer, batch_size=4)
    assert {name: (value.dim(), value.dtype) for name, value in example.items()} == {
        name: (value.dim(), value.dtype) for name, value in batch.items()
    }


def test_invalid_probabilities_and_tokenizers_are_refused(tokenizer):
    with pytest.raises(DataError, match=r"^`probability` must be between 0 and 1, got 1\.5$"):
        masked_language_modelling(TEXTS, tokenizer=tokenizer, batch_size=4, probability=1.5)
    tokenizer.mask_token = None
    with pytest.raises(DataError, match=r"^\w+ has no mask token\n  hint: set its mask_token$"):
        masked_language_modelling(TEXTS, tokenizer=tokenizer, batch_size=4)
