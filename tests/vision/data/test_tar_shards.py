"""Images in tar shards (WebDataset), made by hand: orders, resuming, and damaged files."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from distill_core.data import SeedPath, Stream
from distill_core.errors import DataError
from distill_vision.data import tar_shards

from .own_files import jittered, png, scaled, write_shard


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    for shard in range(3):
        numbers = range(4 * shard, 4 * shard + 4)
        members = {f"a/{n}.cls": f"{n % 5}\n".encode() for n in numbers} | {f"a/{n}.png": png(n) for n in numbers}
        write_shard(tmp_path / f"train-{shard}.tar", members | {"a/note.txt": b"-"} if shard < 0 else members)
    return tmp_path


def read(loader: Stream) -> list[tuple[int, int]]:
    batches = list(loader.batches(SeedPath()))
    return [
        (int(image[0, 0, 0]), int(target))
        for batch in batches
        for image, target in zip(batch["input"], batch["target"], strict=True)
    ]


@pytest.mark.parametrize("form", ["folder", "pattern", "list"])
def test_shards_are_read_in_order(shards, form):
    forms = {
        "folder": shards, "pattern": shards / "train-*.tar", "list": [shards / f"train-{n}.tar" for n in range(3)],
    }  # fmt: skip
    loader = tar_shards("val", shards=forms[form], batch_size=5, transform=scaled)
    assert read(loader) == [(number, number % 5) for number in range(12)]


def test_each_pass_has_another_order_of_the_same_samples(shards):
    loader = tar_shards("train", shards=shards, batch_size=4, transform=scaled, seed=1)
    batches = loader.batches(SeedPath(), plan=loader.plan(SeedPath()).pick(range(6)))
    numbers = [int(image[0, 0, 0]) for batch in batches for image in batch["input"]]
    first, second = numbers[:12], numbers[12:]
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second != list(range(12))
    assert {n // 4 for n in first[:4]} == {first[0] // 4}  # one shard after the other


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_continues_within_a_shard_with_the_same_augmentations(shards, workers):
    def loader() -> Stream:
        return tar_shards("train", shards=shards, batch_size=3, transform=jittered, num_workers=workers)

    whole, path = loader(), SeedPath(seed=4)
    assert whole.resume_problem(path) == ""
    expected = list(whole.batches(path, plan=whole.plan(path).pick(range(7))))
    for done in (1, 3, 5):
        begun, resumed = loader(), loader()
        list(begun.batches(path, plan=begun.plan(path).pick(range(done))))
        resumed.load_state(copy.deepcopy(begun.state(done)), path)
        rest = list(resumed.batches(path, start=done, plan=resumed.plan(path).pick(range(7))))
        assert all(torch.equal(a["input"], b["input"]) for a, b in zip(rest, expected[done:], strict=True))
    jitter = {float(image.flatten()[0]) % 1 for batch in expected for image in batch["input"]}
    assert len(jitter) > 15  # each sample has its own


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"1.cls": b"1"}, r"1.tar:1 has no image, only cls"),
        ({"1.png": png(1)}, r"1.tar:1 has no 'cls', only png"),
        ({"1.png": png(1), "1.cls": b"cat"}, r"the class in 'cls' must be an integer >= 0, got 'cat'"),
        ({"1.png": b"?", "1.cls": b"1"}, r"the image .*1.tar:1 \(1.png\) is damaged"),
        ({"1.png": png(1), "1.PNG": png(1)}, r"has two files 1.PNG"),
        ({}, r"1.tar has no samples"),
    ],
)
def test_a_wrong_shard_is_refused_with_its_path(tmp_path, members, message):
    write_shard(tmp_path / "1.tar", members)
    with pytest.raises(DataError, match=message):
        read(tar_shards("val", shards=tmp_path, batch_size=1, transform=scaled))


def test_damaged_compressed_and_missing_shards_are_refused(tmp_path, shards):
    content = (shards / "train-0.tar").read_bytes()
    for name, changed in (("cut.tar", content[:1500]), ("zip.tar", b"\x1f\x8b" + content), ("empty.tar", b"")):
        (tmp_path / name).write_bytes(changed)
        with pytest.raises(DataError, match=name):
            read(tar_shards("val", shards=[tmp_path / name], batch_size=4, transform=scaled))
    with pytest.raises(DataError, match=r"the shard .*no.tar is missing"):
        tar_shards("val", shards=["no.tar"], batch_size=1)
    with pytest.raises(DataError, match=r"no file matches .*no-\*.tar"):
        tar_shards("val", shards=tmp_path / "no-*.tar", batch_size=1)
