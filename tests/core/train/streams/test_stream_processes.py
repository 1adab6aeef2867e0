"""Streams on two real processes: each sample is read by one of them; a stream that is split already is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROCESS = """
import itertools, json, sys
import torch, torch.distributed as dist
from torch.utils.data import IterableDataset
from distill_core.data import SeedPath, Stream
from distill_core.errors import DataError

rank, store, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)


class Numbers(IterableDataset):
    def __iter__(self):
        return ({"input": torch.tensor([number])} for number in range(50))


class Split(IterableDataset):
    def __iter__(self):
        return itertools.islice(Numbers(), dist.get_rank(), None, dist.get_world_size())


def rows(size):
    import datasets

    columns = {"input": [[number] for number in range(50)]}
    return Stream(datasets.Dataset.from_dict(columns).to_iterable_dataset(num_shards=3).with_format("torch"), size)


makers = {
    "plain": lambda: Stream(Numbers(), 4),
    "workers": lambda: Stream(Numbers(), 4, num_workers=2),
    "datasets": lambda: rows(4),
    "split": lambda: Stream(Split(), 4),
}
stream = makers[kind]()
try:
    training = [batch["input"].flatten().tolist() for batch in stream.batches(SeedPath(), plan=stream.plan(SeedPath()).pick(range(9)))]
    one_pass = [batch["input"].flatten().tolist() for batch in stream.batches(SeedPath())]
    print(json.dumps([training, one_pass]))
except DataError as error:
    print(json.dumps(str(error)))
dist.destroy_process_group()
"""


def outputs(tmp_path, kind):
    commands = [[sys.executable, "-c", PROCESS, str(rank), str(tmp_path / "store"), kind] for rank in range(2)]
    running = [subprocess.Popen(each, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for each in commands]
    found = [process.communicate(timeout=240) for process in running]
    assert [process.returncode for process in running] == [0, 0], found
    return [json.loads(output) for output, _ in found]


@pytest.mark.parametrize("kind", ["plain", "workers", "datasets"])
def test_both_processes_together_read_each_sample_once(tmp_path, kind):
    (first, pass_of_first), (second, pass_of_second) = outputs(tmp_path, kind)
    together = [number for pair in zip(first, second, strict=True) for batch in pair for number in batch]
    assert together == [number % 50 for number in range(9 * 8)]  # in order, and again after the end
    assert not {n for batch in pass_of_first for n in batch} & {n for batch in pass_of_second for n in batch}
    assert sorted(n for batch in pass_of_first + pass_of_second for n in batch) == list(range(50))


def test_a_stream_that_is_split_already_is_refused_in_both(tmp_path):
    message = (
        "Split yields other samples in each process, and a Stream splits them itself\n"
        "  hint: let it yield all samples in every process, without a rank or DistributedSampler"
    )
    assert outputs(tmp_path, "split") == [message, message]
