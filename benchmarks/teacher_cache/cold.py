"""Benchmark of reading rows of a cache that are not in memory, announced ahead or not; writes its table in README.md.

    python benchmarks/teacher_cache/cold.py [--rounds 5] [--folder FOLDER]

The folder must be on the disk to measure, not in memory. Before each turn the file is dropped from the page cache.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from page import machine, report  # noqa: E402

from distill_core.cache import READ_AHEAD, Cache, Key, ReadAhead  # noqa: E402

ROWS, WIDTH, BATCH, NUM_BATCHES = 128_000, 3_072, 64, 20
STEP = 0.01
"""Seconds between two reads, the rest of a training step."""


def build(folder: Path) -> Cache:
    """Write a complete view: 1.6 GB in rows of 12 KB. The system reads megabytes around a row, so a small file is soon in memory."""
    cache = Cache(folder, "teacher", Key({}), ROWS, 1)
    values = torch.randn(1_000, WIDTH)
    for rows in torch.arange(ROWS).split(1_000):
        cache.write(0, rows, {"features": values + rows[0]}, {})
    cache.seal(0)
    return cache


def drop(path: Path) -> None:
    """Drop a file, which no process has mapped, from the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def read(folder: Path, order: list[torch.Tensor], *, announces: bool) -> tuple[float, float, list[torch.Tensor]]:
    """Return the seconds that an epoch waits for rows and announces them, and what it reads."""
    cache, ahead = Cache(folder, "teacher", Key({}), ROWS, 1), ReadAhead(1)
    shard, reading, announcing, found = cache.shard(0), 0.0, 0.0, []
    for index, rows in enumerate(order):
        start = time.perf_counter()
        if announces:
            ahead.announce(0, shard, reversed(order[index : index + 1 + READ_AHEAD]))
        announcing += (begin := time.perf_counter()) - start
        found.append(cache.read(0, rows)["features"])
        reading += time.perf_counter() - begin
        time.sleep(STEP)
    return reading, announcing, found


def measure(folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Return the microseconds per row, medians over the rounds, and check that the values are the same."""
    path = build(folder).path(0)
    times: dict[str, list[tuple[float, float]]] = {"cold": [], "cold, announced": [], "in memory, announced": []}
    for number in range(rounds):
        order = list(
            torch.randperm(ROWS, generator=torch.Generator().manual_seed(number))[: BATCH * NUM_BATCHES].split(BATCH)
        )
        values = []
        for name, taken in times.items():
            if name.startswith("cold"):
                drop(path)
            reading, announcing, found = read(folder, order, announces="announced" in name)
            taken.append((reading, announcing))
            values.append(torch.cat(found))
        assert all(torch.equal(value, values[0]) for value in values)

    def row(taken: list[tuple[float, float]]) -> dict[str, float]:
        count = BATCH * NUM_BATCHES / 1e6
        waits, announces = (statistics.median(each) / count for each in zip(*taken, strict=True))
        ratio = statistics.median(sum(one) / sum(cold) for one, cold in zip(taken, times["cold"], strict=True))
        return {"waiting, µs a row": waits, "announcing, µs a row": announces, "both / cold": ratio}

    return {name: row(taken) for name, taken in times.items()}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=HERE, help="a folder on the disk to measure")
    options = parser.parse_args()
    results = json.loads((HERE / "results.json").read_text())
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        results["cold"] = measure(Path(folder), options.rounds)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    results["cold measured"] = f"{now} on {machine()}"
    report(results)


if __name__ == "__main__":
    main()
