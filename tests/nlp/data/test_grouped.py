from __future__ import annotations

import pytest
import torch

from distill_core.data import SeedPath
from distill_nlp.data import EncodedTexts, LengthGroupedLoader, text_classification

WORDS = "the film is a delight from first scene to last plot mess jokes old girl".split()


@pytest.fixture(scope="module")
def texts(tokenizer):
    """Build a loader of 1,000 texts of 1 to 40 words, most of them short."""
    torch.manual_seed(5)
    counts = (torch.rand(1003).pow(3) * 40).long() + 1
    return EncodedTexts([[" ".join(WORDS[i % 15] for i in range(int(n))) for n in counts]], [0] * 1003, tokenizer)


def real_share(loader, seed_path) -> float:
    masks = [batch["attention_mask"] for batch in loader.batches(seed_path)]
    return sum(int(mask.sum()) for mask in masks) / sum(mask.numel() for mask in masks)


def test_an_epoch_has_every_sample_once_and_depends_on_its_seed_path(texts):
    loader = LengthGroupedLoader(texts, 8, shuffle=True)
    orders = [loader.order(SeedPath(0, 0, epoch)) for epoch in (0, 1, 0)]
    assert all(sorted(order.tolist()) == list(range(1003)) for order in orders)
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], loader.order(SeedPath(1, 0, 0)))


def test_batches_have_similar_lengths_in_random_order(texts):
    plan = LengthGroupedLoader(texts, 8, shuffle=True).plan(SeedPath())
    assert [len(index) for index in plan.indices] == [8] * 125 + [3]
    longest = [int(texts.lengths[index].max()) for index in plan.indices[:-1]]
    assert longest != sorted(longest, reverse=True)
    assert sum(longest[:62]) == pytest.approx(sum(longest[62:124]), rel=0.3)


def test_few_tokens_are_padding(texts):
    grouped, plain = LengthGroupedLoader(texts, 8, shuffle=True), text_loader(texts)
    assert real_share(grouped, SeedPath()) > 0.93
    assert real_share(plain, SeedPath()) < 0.6


def text_loader(texts):
    from distill_core.data import Loader

    return Loader(texts, 8, shuffle=True, collate=texts.collate)


def test_an_epoch_resumes_from_the_middle(texts):
    loader = LengthGroupedLoader(texts, 8, shuffle=True)
    whole = [batch["input_ids"] for batch in loader.batches(SeedPath(3, 0, 2))]
    rest = [batch["input_ids"] for batch in loader.batches(SeedPath(3, 0, 2), start=100)]
    assert len(rest) == 26
    assert all(torch.equal(one, other) for one, other in zip(whole[100:], rest, strict=True))


def test_without_shuffling_the_longest_come_first(table, tokenizer):
    path = table("sentence\tlabel\na\t0\na girl her hair\t1\nthe film\t0\n")
    loader = text_classification(path, tokenizer=tokenizer, batch_size=2, group_by_length=True)
    assert [batch["index"].tolist() for batch in loader] == [[1, 2], [0]]
    assert [batch["target"].tolist() for batch in loader] == [[1, 0], [0]]
