"""The folder of a cache: rows, several writers, kills, damage."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill_core.cache import Cache, Key, Shard
from distill_core.errors import DataError

KEY = Key({"weights": "abc", "seed": "0"})


def parts(rows):
    values = torch.as_tensor(rows)
    return {
        "logits": torch.stack([values, -values], 1).float(),
        "small": values.to(torch.int8),
        "map": values[:, None, None].expand(-1, 3, 2).half(),
        "index": values,
        "wide": values.bfloat16(),
    }


def open_cache(folder, key=KEY, rows=10, views=2):
    return Cache(folder, "teacher", key, rows, views)


def test_rows_come_back_and_the_file_is_a_safetensors_file(tmp_path):
    cache = open_cache(tmp_path)
    for rows in ([3, 1, 7], [0, 2, 4, 5], [9, 8, 6]):
        cache.write(0, torch.tensor(rows), parts(rows), {"format": "f"})
        assert not cache.seal(0) or rows[0] == 9
    wanted = torch.tensor([8, 8, 0, 5])
    for each in (cache, open_cache(tmp_path)):
        assert each.is_complete(0)
        assert each.has(0, wanted)
        for name, value in each.read(0, wanted).items():
            assert torch.equal(value, parts(wanted)[name]), name
    stored = load_file(cache.path(0))
    assert all(torch.equal(stored[name], value) for name, value in parts(range(10)).items())
    assert Shard(cache.path(0)).metadata == {"format": "f"}
    assert [path.name for path in sorted(cache.folder.iterdir())] == [
        "key.json",
        "view-0000.json",
        "view-0000.safetensors",
    ]


def test_only_what_was_flushed_counts_after_a_kill(tmp_path):
    cache = open_cache(tmp_path)
    cache.write(1, torch.tensor([1, 2]), parts([1, 2]), {})
    cache.flush()
    cache.write(1, torch.tensor([5]), parts([5]), {})
    again = open_cache(tmp_path)
    assert again.missing(1).tolist() == [0, 3, 4, 5, 6, 7, 8, 9]
    assert not again.has(1, torch.tensor([1, 5]))
    assert again.has(1, torch.tensor([2, 1]))
    assert torch.equal(again.read(1, torch.tensor([2]))["logits"], parts([2])["logits"])
    assert not again.has(0, torch.tensor([1]))


WRITER = """
import os, sys, torch
from pathlib import Path
import distill_core.cache._cache as module
from distill_core.cache import Cache, Key
number = int(sys.argv[2])
module.rank = lambda: number
cache = Cache(Path(sys.argv[1]), "teacher", Key({"weights": "abc", "seed": "0"}), 3000, 1)
for start in range(number * 1000, number * 1000 + 1000, 50):
    rows = torch.arange(start, start + 50)
    cache.write(0, rows, {"values": rows[:, None].expand(-1, 7).float().contiguous()}, {})
cache.flush()
"""


def test_several_processes_write_rows_of_their_own(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(number)]) for number in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    cache = open_cache(tmp_path, rows=3000, views=1)
    assert cache.seal(0)
    values = cache.read(0, torch.arange(3000))["values"]
    assert torch.equal(values, torch.arange(3000.0)[:, None].expand(-1, 7))


@pytest.mark.parametrize("where", [0, 3, 40, 0.5, -1])
def test_a_flipped_bit_anywhere_is_found(tmp_path, where):
    cache = open_cache(tmp_path)
    cache.write(0, torch.arange(10), parts(range(10)), {})
    cache.seal(0)
    path = cache.path(0)
    content = bytearray(path.read_bytes())
    content[where if isinstance(where, int) else int(where * len(content))] ^= 8
    path.write_bytes(content)
    with pytest.raises(DataError) as failure:
        open_cache(tmp_path).has(0, torch.tensor([1]))
    assert str(failure.value) == (
        f"{path} is damaged: its SHA-256 differs from the recorded one\n"
        f"  hint: remove {path} and view-0000.json to build the view again"
    )
    with pytest.raises(DataError, match="is damaged"):
        cache.verify()


def test_a_file_that_is_cut_or_gone_is_found(tmp_path):
    cache = open_cache(tmp_path)
    cache.write(0, torch.arange(10), parts(range(10)), {})
    cache.seal(0)
    size = cache.path(0).stat().st_size
    os.truncate(cache.path(0), size - 1)
    with pytest.raises(DataError, match=f"has {size - 1:,} bytes, but its header describes {size:,}"):
        Shard(cache.path(0))
    os.truncate(cache.path(0), 100)
    with pytest.raises(DataError, match="is damaged"):
        open_cache(tmp_path).is_complete(0)
    with pytest.raises(DataError, match="is damaged: it does not begin as a safetensors file does"):
        Shard(cache.path(0))
    cache.path(0).unlink()
    with pytest.raises(DataError, match=r"is damaged: the file or view-0000\.json is missing or unreadable"):
        open_cache(tmp_path).is_complete(0)


def test_another_key_is_another_folder_and_a_moved_one_is_refused(tmp_path):
    first = open_cache(tmp_path)
    other = open_cache(tmp_path, Key({"weights": "abc", "seed": "1"}))
    assert other.folder != first.folder
    assert other.relatives == {first.folder.name: ["seed"]}
    (first.folder / "key.json").replace(other.folder / "key.json")
    with pytest.raises(DataError) as failure:
        open_cache(tmp_path, Key({"weights": "abc", "seed": "1"}))
    assert str(failure.value) == (
        f"{other.folder} is not the cache of this key: key.json has another one\n  hint: remove the folder"
    )


def test_rows_of_another_shape_are_refused(tmp_path):
    cache = open_cache(tmp_path)
    cache.write(0, torch.tensor([0]), {"logits": torch.zeros(1, 3)}, {})
    with pytest.raises(DataError, match=r"a row of 'logits' is \(4,\) torch.float32 now and was \(3,\) torch.float32"):
        cache.write(0, torch.tensor([1]), {"logits": torch.zeros(1, 4)}, {})


def test_a_disk_without_room_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    cache = open_cache(tmp_path)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        cache.write(0, torch.tensor([0]), parts([0]), {})
    assert [path.name for path in cache.folder.iterdir()] == ["key.json"]


def test_fifty_thousand_samples_of_a_hundred_halves_are_small(tmp_path):
    cache = Cache(tmp_path, "teacher", KEY, 50_000, 1)
    values = torch.randn(50_000, 100).half()
    cache.write(0, torch.arange(50_000), {"values": values, "#input": torch.zeros(50_000, dtype=torch.int64)}, {})
    assert cache.seal(0)
    assert sum(path.stat().st_size for path in Path(cache.folder).iterdir()) < 10.5e6
