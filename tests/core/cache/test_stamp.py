"""The content of a complete view is hashed when its file has changed, and not otherwise."""

from __future__ import annotations

import json
import os

import pytest
import torch

from distill_core.cache import Cache, Key, _cache
from distill_core.errors import DataError

KEY = Key({"weights": "abc"})


@pytest.fixture
def digests(monkeypatch):
    """The files that were hashed."""
    hashed, digest = [], _cache._digest

    def counted(path):
        hashed.append(path.name)
        return digest(path)

    monkeypatch.setattr(_cache, "_digest", counted)
    return hashed


def opened(folder):
    return Cache(folder, "teacher", KEY, 4, 2)


@pytest.fixture
def path(tmp_path, digests):
    """A cache of two complete views."""
    cache = opened(tmp_path)
    for view in range(2):
        cache.write(view, torch.arange(4), {"values": torch.rand(4, 100)}, {})
        assert cache.seal(view)
    digests.clear()
    return cache.path(1)


def flip(path, *, keeps_time):
    status, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    if keeps_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_an_unchanged_file_is_not_hashed(tmp_path, path, digests):
    assert all(opened(tmp_path).is_complete(view) for view in range(2))
    assert not digests


def test_verify_hashes_every_file(tmp_path, path, digests):
    assert opened(tmp_path).verify() == [0, 1]
    assert digests == ["view-0000.safetensors", "view-0001.safetensors"]
    flip(path, keeps_time=True)
    cache = opened(tmp_path)
    assert cache.is_complete(1)  # the stamp is all that is known
    with pytest.raises(DataError, match="its SHA-256 differs from the recorded one"):
        cache.verify()


def test_a_changed_file_is_hashed_and_refused(tmp_path, path, digests):
    flip(path, keeps_time=False)
    with pytest.raises(DataError, match="its SHA-256 differs from the recorded one"):
        opened(tmp_path).is_complete(1)
    assert digests == [path.name]


@pytest.mark.parametrize("change", [1, -1, 10**9])
def test_a_touched_file_is_hashed_once_and_stamped_again(tmp_path, path, digests, change):
    """As a copy of the folder is."""
    time = path.stat().st_mtime_ns + change
    os.utime(path, ns=(time, time))
    assert opened(tmp_path).is_complete(1)
    assert opened(tmp_path).is_complete(1)
    assert digests == [path.name]


def test_a_manifest_without_a_stamp_gets_one(tmp_path, path, digests):
    """Caches of earlier versions."""
    file = path.with_suffix(".json")
    manifest = json.loads(file.read_text())
    del manifest["mtime_ns"]
    file.write_text(json.dumps(manifest))
    assert opened(tmp_path).is_complete(1)
    assert opened(tmp_path).is_complete(1)
    assert digests == [path.name]
    assert json.loads(file.read_text()) == {**manifest, "mtime_ns": path.stat().st_mtime_ns}


@pytest.mark.parametrize("content", ["[]", "3", "{}", '{"bytes": 1}', '{"bytes": "1", "mtime_ns": []}', "{"])
def test_a_damaged_manifest_is_refused(tmp_path, path, content):
    path.with_suffix(".json").write_text(content)
    with pytest.raises(DataError, match="is damaged"):
        opened(tmp_path).is_complete(1)


def test_a_cache_that_cannot_be_written_is_read(tmp_path, path, digests, monkeypatch):
    def refuse(*_):
        raise PermissionError

    os.utime(path, ns=(1, 1))
    monkeypatch.setattr(_cache, "_replace", refuse)
    assert opened(tmp_path).is_complete(1)
    assert digests == [path.name]
