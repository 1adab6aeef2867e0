"""Runs a small training on two processes that meet with an accident, and prints how each process ended, as JSON.

    ranks.py ACCIDENT...       of: none, raises, killed, hangs, nan, nan-sharded, nan-statistics-POLICY, loss

torch is imported once; each process is a fork of this one.
"""

from __future__ import annotations

import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
import socket
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # takes seconds, and every process needs it
from torch import Tensor, nn

from distill_core.data import Loader
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer


class Samples:
    """Sixteen samples; number 11 belongs to the second process and may be one that cannot be read, or not finite."""

    def __init__(self, accident: str) -> None:
        self.inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
        self.accident = accident

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index == 11 and self.accident == "raises":
            message = "cannot identify image file 'cat.jpg'"
            raise OSError(message)
        bad = index == 11 and self.accident.startswith("nan")
        return self.inputs[index] * (float("nan") if bad else 1.0), index % 2


class LossNotFinite(nn.Module):
    """Not finite on the second process, with gradients that are."""

    reduction_scope = "sample"

    def forward(self, student: Tensor, index: Tensor) -> Tensor:
        bad = bool((index == 11).any())
        return student.square().mean() + (float("inf") if bad else 0.0)


class Accident(Callback):
    def __init__(self, accident: str) -> None:
        self.accident = accident

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.state.step == 2 and not trainer.is_main:
            if self.accident == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.accident == "hangs":
                time.sleep(60)


def train(accident: str, folder: Path) -> None:
    torch.manual_seed(0)
    kind, _, policy = accident.rpartition("-")
    policy_given = kind == "nan-statistics"
    policy = policy if policy_given else "stop"
    norm = nn.BatchNorm1d(4) if policy_given else nn.Identity()
    student = nn.Sequential(norm, nn.Linear(4, 2))
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    if accident == "loss":
        ce = Term(loss=LossNotFinite(), inputs={"student": "student", "index": "batch.index"})
    experiment = Experiment(
        models={"student": student},
        data={"train": Loader(Samples(accident), 2)},
        stages=[Stage(epochs=2, losses={"ce": ce}, optimizer=partial(torch.optim.SGD, lr=0.1))],
        callbacks=[Accident(accident), Checkpoint(every_steps=1)],
        ema={"student": 0.9},
        nonfinite=policy,
        timeout=4,
        parallel="fsdp" if accident == "nan-sharded" else "ddp",
        log_every=100 if policy_given else 1,
    )
    output = folder / accident if policy_given else None
    trainer = Trainer(experiment, output=output)
    try:
        trainer.fit()
    finally:
        if output is not None:
            prove_finite(trainer)


def prove_finite(trainer: Trainer) -> None:
    """Models of this process and all checkpoints; at the step after the bad one there was a checkpoint to write."""
    states = [trainer.store.read_named(path.name)["models"] for path in trainer.store.folder.glob("step-*")]
    for state in [*states, {name: model.state_dict() for name, model in trainer.models.items()}]:
        for name, weights in state.items():
            assert all(value.isfinite().all() for value in weights.values()), (name, weights)
    assert states


def fork(rank: int, port: int, accident: str, said: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        train(accident, said.parent)
        code = 0
    except BaseException as error:  # noqa: BLE001  the outermost frame of a fork
        said.write_text("\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]))
    finally:
        os._exit(code)


def meet(accident: str, folder: Path) -> list[dict[str, Any]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = [folder / f"{accident}-{rank}.txt" for rank in range(2)]
    pids = [fork(rank, port, accident, said[rank]) for rank in range(2)]
    start = time.monotonic()
    first = os.waitpid(pids[0], 0)[1]
    seconds = time.monotonic() - start
    if accident == "hangs":
        os.kill(pids[1], signal.SIGKILL)
    second = os.waitpid(pids[1], 0)[1]
    return [
        {"code": code, "seconds": seconds, "said": text.read_text() if text.is_file() else ""}
        for code, text in zip((first, second), said, strict=True)
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps({accident: meet(accident, Path(name)) for accident in sys.argv[1:]}))
