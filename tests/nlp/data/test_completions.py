"""Prompts with completions: only the completion and the end token are targets, in one vocabulary or two."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.errors import DataError
from distill_nlp.data import completions
from distill_nlp.tokenizers import byte_level

ROWS = [{"prompt": f"{a} plus {b} is", "completion": f" {a + b}" * (a + 1)} for a in range(4) for b in range(3)]


@pytest.fixture(scope="module")
def bpe():
    return byte_level([row["prompt"] for row in ROWS] * 2, vocab_size=280)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    return path


def loader(file, bpe, **options):
    return completions(file, **{"tokenizer": bpe, "batch_size": 5, "shuffle": False, "max_length": 64} | options)


def test_targets_are_the_tokens_of_the_completion_and_the_end(file, bpe):
    batches = list(loader(file, bpe))
    rows = [row for batch in batches for row in zip(batch["input_ids"], batch["target"], batch["mask"], strict=True)]
    for row, (inputs, target, mask) in zip(ROWS, rows, strict=True):
        asked, answered = bpe(row["prompt"])["input_ids"], bpe(row["completion"])["input_ids"]
        assert target[mask].tolist() == [*answered, bpe.eos_token_id]
        assert inputs[: len(asked) + len(answered)].tolist() == [*asked, *answered]
        assert mask.nonzero()[0].item() == len(asked) - 1
        assert (target[~mask] == -100).all()
    assert loader(file, bpe).dataset.num_tokens.tolist() == [int(mask.sum()) for _, _, mask in rows]


def test_long_prompts_are_truncated_at_the_start_and_completions_at_the_end(file, bpe):
    dataset = loader(file, bpe, max_length=8, max_prompt=3).dataset
    asked, answered = (bpe(ROWS[-1][name])["input_ids"] for name in ("prompt", "completion"))
    whole = [*asked[-3:], *answered][:9]
    assert len(answered) > 6
    assert dataset[len(ROWS) - 1]["input_ids"].tolist() == whole[:8]
    assert dataset[len(ROWS) - 1]["target"].tolist() == [-100, -100, *whole[3:]]


def test_a_begin_token_comes_first_and_an_empty_prompt_is_the_end_token(tmp_path, bpe):
    path = tmp_path / "empty.jsonl"
    path.write_text(json.dumps({"prompt": "", "completion": "one"}))
    answered = bpe("one")["input_ids"]
    sample = loader(path, bpe).dataset[0]
    assert sample["input_ids"].tolist() == [bpe.eos_token_id, *answered]
    assert sample["target"].tolist() == [*answered, bpe.eos_token_id]
    other = byte_level([], vocab_size=257)
    other.bos_token = "A"
    assert loader(path, other).dataset[0]["input_ids"].tolist() == [other.bos_token_id, *other("one")["input_ids"]]


def test_a_teacher_with_another_vocabulary_sees_the_same_texts(file, bpe):
    other = byte_level([], vocab_size=257)
    batch = next(iter(loader(file, bpe, teacher_tokenizer=other)))
    example = completions.example_batch(file, tokenizer=bpe, batch_size=5, teacher_tokenizer=other)
    assert batch.keys() == example.keys()
    for row, target, mask in zip(ROWS, batch["teacher_target"], batch["teacher_mask"], strict=False):
        assert other.decode(target[mask][:-1]) == row["completion"]
    assert batch["input_ids"].shape != batch["teacher_input_ids"].shape


def test_splits_are_disjoint_and_grouping_keeps_all_samples(file, bpe):
    seen = [loader(file, bpe, split=split, val=0.25, test=0.25).dataset for split in ("train", "val", "test")]
    assert [len(part) for part in seen] == [6, 3, 3]
    grouped = loader(file, bpe, group_by_length=True)
    index = torch.cat([batch["index"] for batch in grouped])
    assert sorted(index.tolist()) == list(range(len(ROWS)))
    lengths = grouped.dataset.lengths[index].tolist()
    assert lengths == sorted(lengths, reverse=True)


def test_an_unknown_column_is_refused(file, bpe):
    with pytest.raises(DataError) as failure:
        loader(file, bpe, prompt="prompts")
    assert str(failure.value) == f"{file} has no column 'prompts'\n  hint: did you mean 'prompt'?"
