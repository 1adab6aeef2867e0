"""Rows are announced to the operating system before they are read: all their pages, each row once."""

from __future__ import annotations

import os

import pytest
import torch

from distill_core.cache import Cache, Key, ReadAhead, _read_ahead

PAGE = 4096


@pytest.fixture
def cache(tmp_path):
    made = Cache(tmp_path, "teacher", Key({}), 200, 1)
    values = {"map": torch.randn(200, 3000), "logits": torch.randn(200, 10).half(), "#input": torch.arange(200)}
    made.write(0, torch.arange(200), values, {})
    assert made.seal(0)
    return made


@pytest.fixture
def announced(monkeypatch):
    """The ranges of bytes that were announced."""
    ranges = []

    def record(_handle, start, length, advice):
        assert advice == os.POSIX_FADV_WILLNEED
        ranges.append(range(start, start + length))

    monkeypatch.setattr(os, "posix_fadvise", record)
    return ranges


def pages(tensor, rows, shard):
    """Return the pages of the rows of a part, found by the bytes of the file."""
    size = tensor[0].numel() * tensor.element_size()
    content, begin = shard.path.read_bytes(), tensor.contiguous().view(torch.uint8).numpy().tobytes()
    offset = content.index(begin)
    return {
        page
        for row in rows
        for page in range((offset + row * size) // PAGE, (offset + (row + 1) * size - 1) // PAGE + 1)
    }


def test_all_pages_of_the_rows_are_announced_and_no_others(cache, announced):
    shard, rows = cache.shard(0), torch.tensor([150, 3, 4, 3, 90])
    shard.will_need(rows, omit="#input")
    found = {page for each in announced for page in range(each.start // PAGE, each.stop // PAGE)}
    parts = [shard.tensors[name] for name in ("map", "logits")]
    assert found == set().union(*(pages(part, set(rows.tolist()), shard) for part in parts))
    assert len(announced) <= 4  # rows 3 and 4 are one range, and so are all logits


def test_a_long_range_is_divided(cache, announced):
    cache.shard(0).will_need(torch.arange(200), omit="#input")
    assert len(announced) > 15
    assert all(len(each) <= 128 << 10 for each in announced)


def test_rows_are_announced_once_or_again_if_they_do_not_stay(cache, announced, monkeypatch):
    shard, rows = cache.shard(0), torch.tensor([5, 7])
    for memory, number in ((1 << 40, 1), (1 << 20, 2)):
        monkeypatch.setattr(_read_ahead, "_memory", lambda memory=memory: memory)
        ahead, counts = ReadAhead(1), []
        for _ in range(2):
            announced.clear()
            ahead.announce(0, shard, [rows, rows])
            ahead.announce(0, shard, [rows])
            ahead.was_read(0, shard, rows)
            counts.append(len(announced) > 0)
        assert sum(counts) == number


def test_nothing_is_announced_where_the_system_cannot(cache, monkeypatch):
    monkeypatch.delattr(os, "posix_fadvise")
    ReadAhead(1).announce(0, cache.shard(0), [torch.tensor([5])])
