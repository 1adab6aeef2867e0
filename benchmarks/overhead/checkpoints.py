"""Benchmark of a checkpoint against `torch.save` and `fsync` of the same state; writes checkpoints.md."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import readme
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.train import Callback, Experiment, Run, Stage, Term, Trainer

WIDTH, LAYERS = 2048, 10
TIMES = ("training is held up", "of which CPU time", "until the checkpoint is on disk", "torch.save and fsync")
_TEXT = """# Checkpoints

Written by `python benchmarks/overhead/checkpoints.py`. A model and its Adam state, {size:.0f} MB in {tensors} tensors. Each of {rounds}
steps of a run saves a checkpoint, waits for it, and then writes the same state with `torch.save`. Wall times, the median over
the rounds, in brackets the first checkpoint, which also allocates the copy of the state. Hashing is part of a checkpoint only.

{machine}

{table}
"""


class Saves(Callback):
    """Measures a checkpoint and `torch.save` after each step.

    Args:
        file: Where `torch.save` writes.

    Attributes:
        seconds: What each took, by name, in order.
        written: The state that was written last.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seconds: dict[str, list[float]] = {name: [] for name in TIMES}
        self.written: Any = None

    def on_step_end(self, run: Run) -> None:
        """Measure."""
        trainer: Any = run
        assert run.store is not None
        begin, busy = time.perf_counter(), time.thread_time()
        run.save()
        held, busy = time.perf_counter(), time.thread_time() - busy
        run.store.name("latest")  # waits
        written = time.perf_counter()
        self.written = trainer.checkpoints.gather(trainer.state, trainer.run, trainer.meter)
        other = time.perf_counter()
        with self.file.open("wb") as file:
            torch.save(self.written, file)
            file.flush()
            os.fsync(file.fileno())
        end = time.perf_counter()
        for name, value in zip(TIMES, (held - begin, busy, written - begin, end - other), strict=True):
            self.seconds[name].append(value)


def measure(rounds: int, width: int = WIDTH, layers: int = LAYERS) -> Saves:
    """Return the measurements of so many checkpoints."""
    student = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers)))
    data = TensorData({"input": torch.randn(rounds, width), "target": torch.zeros(rounds, dtype=torch.long)})
    loss = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    with tempfile.TemporaryDirectory() as folder:
        saves = Saves(Path(folder) / "state.pt")
        stage = Stage(epochs=1, losses={"ce": loss}, optimizer=partial(torch.optim.Adam, lr=1e-5))
        experiment = Experiment(
            models={"student": student}, data={"train": Loader(data, 1)}, stages=[stage], callbacks=[saves]
        )
        Trainer(experiment, output=Path(folder) / "run", progress=False).fit()
    return saves


def write(path: Path, rounds: int, width: int, layers: int) -> None:
    """Measure and write the page."""
    saves = measure(rounds, width, layers)
    optimizer = [value for entry in saves.written["optimizer"]["state"].values() for value in entry.values()]
    tensors = [*saves.written["models"]["student"].values(), *optimizer]
    medians = {name: statistics.median(values[1:]) for name, values in saves.seconds.items()}
    rows = [
        [name, f"{value:.2f} s ({saves.seconds[name][0]:.2f})", f"{value / medians[TIMES[-1]]:.2f}"]
        for name, value in medians.items()
    ]
    text = _TEXT.format(
        size=sum(tensor.nbytes for tensor in tensors) / 1e6,
        tensors=len(tensors),
        rounds=rounds,
        machine=readme.machine(),
        table=readme.table(["", "time", "ratio"], rows),
    )
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="number of checkpoints")
    parser.add_argument("--width", type=int, default=WIDTH, help="width of a layer")
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "checkpoints.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    write(args.output, args.rounds, args.width, args.layers)
