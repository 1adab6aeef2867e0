"""Kill a training run again and again and resume it; it must end as the undisturbed run does, bit for bit.

    python -m tests.core.chaos FOLDER --kills 30 --workers 0 2 4 --processes 1 2 3 --groups 0 1 2 [--seed 0]

torch is imported once: each life of a run is a fork of this process. Any rank dies by SIGKILL, at a random instant or at a
random one of its accesses to files in the run's folder, so that every point within the writing of a checkpoint is met. The
other ranks are killed with it, or must notice and end by themselves. Each life has another, random number of reading
workers, which must change nothing.

Runs take turns with the numbers of processes and the groups of losses. Each finished run is a line of
FOLDER/progress.jsonl; a command that was stopped continues with the run after the last line. Prints what the lines add up
to: kills by kind, rank and number of processes, runs, and the losses that they trained with.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import shutil
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import torch

from .life import LONGEST, Life, Run, accesses_file
from .runs import groups

KINDS = ("instant", "access")
KILLS_PER_RUN = 5


class Undisturbed:
    """A run that nobody kills: its outcome, its seconds and each rank's number of accesses to the folder."""

    def __init__(self, run: Run) -> None:
        finished = run.folder.with_suffix(".json")
        if not finished.is_file():
            remove(run)
            started = time.monotonic()
            life = Life(run, workers=0)
            if not life.wait(LONGEST) or any(life.codes.values()):
                life.fail("the undisturbed run failed")
            finished.write_text(json.dumps(time.monotonic() - started))
        self.seconds: float = json.loads(finished.read_text())
        self.accesses = [int(accesses_file(run, rank).read_text()) for rank in range(run.processes)]
        self.outcome = outcome(run.folder)


def torment(run: Run, undisturbed: Undisturbed, kills: int, workers: list[int], rng: random.Random) -> Counter[str]:
    """Kill a run at most `kills` times before it ends, and compare the end with the undisturbed one."""
    remove(run)
    counts: Counter[str] = Counter()
    while True:
        spared = num_kills(counts) >= kills
        at_access = not spared and rng.random() < 0.5
        rank = rng.randrange(run.processes)
        fatal = (rank, int(undisturbed.accesses[rank] ** rng.random())) if at_access else None
        life = Life(run, rng.choice(workers), fatal)
        seconds = LONGEST if spared or at_access else undisturbed.seconds * 0.7 * rng.random()
        ended = life.wait(seconds)
        if ended and not any(life.codes.values()):
            break
        kill(life, ended=ended, at_access=at_access, spared=spared, rank=rank, counts=counts, rng=rng)
    expected, actual = undisturbed.outcome, outcome(run.folder)
    if different := [name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name)]:
        sys.exit(f"{run} ended differently: {sorted(different)}")
    remove(run)
    return counts


def kill(
    life: Life, *, ended: bool, at_access: bool, spared: bool, rank: int, counts: Counter[str], rng: random.Random
) -> None:
    """Kill a life that runs, or account for one that killed itself; half of the time only one rank dies."""
    if ended and not (at_access and life.killed() == [rank]):
        life.fail("a life ended by itself")
    if not ended and (at_access or spared):
        life.fail("a life does not end")
    alone = life.run.processes > 1 and rng.random() < 0.5
    if not ended:
        life.kill([rank] if alone else life.running)
    if alone and not life.wait(LONGEST, for_all=True):
        life.fail("a process does not notice that another has died")
    life.kill(life.running)
    kind = "access" if at_access else "instant"
    counts.update([kind, f"{kind} of rank {rank}" if at_access or alone else f"{kind} of all", *["alone"] * alone])


def outcome(folder: Path) -> dict[str, Any]:
    """Return everything that a run leaves, except for the time that it took."""
    last = (folder / "checkpoints" / "latest").read_text().strip()
    files = [folder / "student.safetensors", folder / "student_ema.safetensors", folder / "epochs.txt"]
    files += [folder / "checkpoints" / last / name for name in ("state.json", "state.safetensors")]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        **{file.name: file.read_bytes() if file.is_file() else None for file in files},
        "results.json": json.loads((folder / "results.json").read_text()) | {"seconds": 0},
        "metrics.jsonl": [{key: value for key, value in line.items() if key != "samples_per_second"} for line in lines],
        "leftovers": [path.name for path in folder.rglob("*.tmp")],
    }


def remove(run: Run) -> None:
    """Remove everything of a run."""
    shutil.rmtree(run.folder, ignore_errors=True)
    for path in run.folder.parent.glob(f"{run.folder.name}.*"):
        path.unlink()


def read_progress(file: Path) -> list[dict[str, Any]]:
    """Return the finished runs, without a last line that was not written to its end."""
    lines = file.read_text().splitlines(keepends=True) if file.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def num_kills(counts: dict[str, int]) -> int:
    """Return the number of kills of all kinds."""
    return sum(counts.get(kind, 0) for kind in KINDS)


def total(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what finished runs add up to."""
    counts: Counter[str] = Counter(runs=len(lines))
    for line in lines:
        counts.update(line["counts"])
        counts["kills"] += num_kills(line["counts"])
        counts[f"kills of {line['processes']} processes"] += num_kills(line["counts"])
    losses = {loss for line in lines for loss in line["losses"] if num_kills(line["counts"])}
    return {**counts, "losses": sorted(losses)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 4])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--groups", type=int, nargs="+", default=range(1 + len(groups())))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    progress = options.folder / "progress.jsonl"
    lines = read_progress(progress)
    progress.write_text("".join(json.dumps(line) + "\n" for line in lines))
    kinds = list(product(options.groups, options.processes))
    while (left := options.kills - sum(num_kills(line["counts"]) for line in lines)) > 0:
        group, processes = kinds[len(lines) % len(kinds)]
        undisturbed = Undisturbed(Run(options.folder / f"undisturbed-{group}-{processes}", group, processes))
        run, rng = (
            Run(options.folder / f"run-{len(lines)}", group, processes),
            random.Random(f"{options.seed} {len(lines)}"),
        )
        counts = torment(run, undisturbed, min(left, KILLS_PER_RUN), options.workers, rng)
        losses = groups()[group - 1] if group else []
        lines.append({"group": group, "processes": processes, "counts": counts, "losses": losses})
        with progress.open("a") as file:
            file.write(json.dumps(lines[-1]) + "\n")
    print(json.dumps(total(lines)))


if __name__ == "__main__":
    main()
