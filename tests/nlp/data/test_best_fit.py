"""Packing by best fit: against a slow best fit, every token once, masks and positions kept, refusals."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
import torch

from distill_core.data import SeedPath
from distill_core.errors import DataError
from distill_nlp.data import PackedSamples, completions, conversations, language_modelling
from distill_nlp.tokenizers import byte_level

from ..chat_tokenizers import chat_tokenizer, template

TEXTS = [f"document {word} says {word} twice " * (n % 5 + 1) for n, word in enumerate("one two three four".split() * 4)]
CHATS = [
    [
        {"role": "user", "content": "what is " + "very " * n},
        {"role": "assistant", "content": "it is " + "so " * (2 * n % 7)},
        {"role": "user", "content": "and?"},
        {"role": "assistant", "content": "no"},
    ]
    for n in range(8)
]
BLOCK = 64


def slow_best_fit(lengths, block):
    """Return best fit decreasing, by a search through all blocks for each sample."""
    blocks = []
    for sample in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        able = [(block - sum(lengths[i] for i in each), n) for n, each in enumerate(blocks)]
        able = [(room, n) for room, n in able if room >= lengths[sample]]
        if able:
            blocks[min(able)[1]].append(sample)
        else:
            blocks.append([sample])
    return blocks


@pytest.mark.parametrize("seed", range(6))
def test_blocks_are_those_of_a_slow_best_fit(seed):
    draw = random.Random(seed)
    block = draw.choice([1, 5, 16, 40])
    lengths = [draw.randint(1, block) for _ in range(draw.choice([1, 3, 150]))]
    samples = [torch.full((length,), index + 1) for index, length in enumerate(lengths)]
    packed = PackedSamples(samples, samples, block, 0)
    assert [[*dict.fromkeys(row.tolist())] for row in packed.tensors["input_ids"]] == [
        [index + 1 for index in each] + [0] * (sum(lengths[i] for i in each) < block)
        for each in slow_best_fit(lengths, block)
    ]
    assert packed.share == sum(lengths) / (len(packed) * block)


@pytest.fixture(scope="module")
def bpe():
    return byte_level(TEXTS, vocab_size=300)


def loaders(kind, bpe, **options):
    """Return the loaders of the same samples, packed and not."""
    if kind == "running text":
        given = {"tokenizer": bpe, "block": BLOCK, "shuffle": False, **options}
        packed = language_modelling(TEXTS, "all", batch_size=3, packing="best_fit", **given)
        return packed, language_modelling(TEXTS, "all", batch_size=3, packed=False, **given)
    if kind == "completions":
        rows = [{"prompt": text[:9], "completion": text[9:40]} for text in TEXTS]
        given = {"tokenizer": bpe, "max_length": BLOCK, "shuffle": False, "batch_size": 3, **options}
        return completions(rows, packed=True, **given), completions(rows, **given)
    tokenizer = chat_tokenizer(chat_template=template())
    given = {"tokenizer": tokenizer, "max_length": 96, "shuffle": False, "batch_size": 3, **options}
    rows = [{"messages": chat} for chat in CHATS]
    return conversations(rows, packed=True, **given), conversations(rows, **given)


KINDS = ("running text", "completions", "conversations")


@pytest.mark.parametrize("kind", KINDS)
def test_each_sample_is_in_one_block_with_its_targets_and_positions(kind, bpe):
    packed, plain = loaders(kind, bpe)
    expected = sorted((sample["input_ids"].tolist(), sample["target"].tolist()) for sample in plain.dataset)
    found, num_padding = [], 0
    for batch in packed:
        assert torch.equal(batch["mask"], batch["target"] != -100)
        for ids, target, positions in zip(batch["input_ids"], batch["target"], batch["position_ids"], strict=True):
            starts = [*(positions == 0).nonzero().flatten().tolist(), len(positions)]
            for first, last in pairwise(starts):
                assert positions[first:last].tolist() == list(range(last - first))
                if (target[first:last] != -100).any():
                    found.append((ids[first:last].tolist(), target[first:last].tolist()))
                else:
                    num_padding += last - first
                    assert set(ids[first:last].tolist()) == {packed.dataset.tensors["input_ids"][-1, -1].item()}
    assert sorted(found) == expected
    total = packed.dataset.tensors["input_ids"].numel()
    assert packed.dataset.share == pytest.approx((total - num_padding) / total)
    assert packed.dataset.num_tokens.tolist() == [int(row.sum()) for batch in packed for row in batch["mask"]]
    assert len(packed.dataset) < len(expected)


def test_a_document_is_cut_only_if_it_is_longer_than_a_block(bpe):
    documents = [bpe(text)["input_ids"] for text in TEXTS]
    packed = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=1, block=12, packing="best_fit")
    rows = [row.tolist() for row in packed.dataset.tensors["input_ids"]]
    assert any(len(document) > 12 for document in documents)
    for document in documents:
        for start in range(0, len(document), 12):
            piece = document[start : start + 12]
            assert any(piece == row[i : i + len(piece)] for row in rows for i in range(len(row)))


def test_the_share_of_tokens_is_logged(bpe, caplog):
    with caplog.at_level("INFO", "distill"):
        packed, _ = loaders("completions", bpe)
    size = len(packed.dataset)
    share = 100 * packed.dataset.share
    assert f"16 samples are packed into {size} blocks of 64 positions, of which {share:.1f}% are tokens" in caplog.text
    assert packed.dataset.summary() == {"blocks": size, "share_of_tokens": packed.dataset.share}


def test_the_order_of_blocks_follows_from_the_seed(bpe):
    orders = []
    for seed in (0, 0, 1):
        packed, _ = loaders("completions", bpe, shuffle=True)
        orders.append([row.tolist() for batch in packed.batches(SeedPath(seed)) for row in batch["input_ids"]])
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(orders[2])


@pytest.mark.parametrize("kind", KINDS)
def test_options_of_padded_samples_are_refused(kind, bpe):
    with pytest.raises(DataError, match="`group_by_length` is for samples that are not packed"):
        loaders(kind, bpe, group_by_length=True)
    if kind != "running text":
        with pytest.raises(DataError, match="`pad_to` is for samples that are not packed"):
            loaders(kind, bpe, pad_to=99)


def test_options_of_packed_text_are_refused_without_packing(bpe):
    given = {"tokenizer": bpe, "batch_size": 1, "packed": False}
    for name, value in {"packing": "best_fit", "positions": True}.items():
        with pytest.raises(DataError, match=f"`{name}` is for packed samples, and `packed` is false"):
            language_modelling(TEXTS, **given, **{name: value})
        with pytest.raises(DataError, match=f"`{name}` is for packed samples"):
            language_modelling.example_batch(TEXTS, **given, **{name: value})
    with pytest.raises(ValueError, match="`packing` must be 'concatenate' or 'best_fit', got 'first_fit'"):
        language_modelling(TEXTS, tokenizer=bpe, batch_size=1, packing="first_fit")


def test_two_tokenizers_cannot_be_packed(bpe, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "a", "completion": "b"}))
    for call in (completions, completions.example_batch):
        with pytest.raises(DataError, match="`packed` and `teacher_tokenizer` cannot be combined"):
            call(path, tokenizer=bpe, teacher_tokenizer=bpe, batch_size=1, packed=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_positions_is_refused(kind, bpe, decoder):
    packed, _ = loaders(kind, bpe)
    model = decoder("llama", vocab_size=300, max_position_embeddings=96, use_cache=False)
    expected = r"student \(LlamaForCausalLM\) reads packed samples without `position_ids` and would mix them"
    with pytest.raises(DataError, match=expected):
        packed.dataset.check_model("student", model, {"input_ids": "input_ids"})


def test_a_packed_example_has_positions_and_needs_them(bpe, decoder):
    model = decoder("llama", vocab_size=300, max_position_embeddings=96, use_cache=False)
    given = {"tokenizer": bpe, "batch_size": 2}
    for function, more in (
        (language_modelling, {"packing": "best_fit", "block": 32}),
        (completions, {"packed": True, "max_length": 32}),
        (conversations, {"packed": True, "max_length": 32}),
    ):
        batch = function.example_batch("none", **given, **more)
        assert batch["position_ids"].shape == batch["input_ids"].shape == (2, 32)
        with pytest.raises(DataError, match="reads packed samples without `position_ids`"):
            function.check_model(("none",), given | more, "student", model, {"input_ids": "input_ids"})
        fed = {"input_ids": "input_ids", "position_ids": "position_ids"}
        function.check_model(("none",), given | more, "student", model, fed)
