"""Trains a student on two processes with complete and with stopped forwards, and prints whether the weights are equal.

Each process is a fork of this one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.train import Experiment, Stage, Term, Trainer


def network() -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU())
    return nn.Sequential(head, Tail())


class Tail(nn.Module):
    """A tail that counts its forwards; not an `nn.Sequential`, which would be truncated."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.fc, self.calls = nn.BatchNorm1d(4), nn.Linear(4, 2), 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        out: torch.Tensor = self.fc(self.norm(x))
        return out


def train(stop_early: bool, accumulate: int, output: Path) -> None:
    student, teacher = network(), network()
    torch.manual_seed(1)
    teacher[0][0].reset_parameters()
    data = TensorData({"input": torch.randn(16, 4)})
    hint = Term(loss=nn.MSELoss(), inputs={"input": "student.0", "target": "teacher.0"})
    stage = Stage(
        epochs=2, losses={"hint": hint}, optimizer=partial(torch.optim.SGD, lr=0.1), stop_early=stop_early,
        accumulate=accumulate,
    )  # fmt: skip
    models = {"teacher": teacher, "student": student}
    Trainer(Experiment(models=models, data={"train": Loader(data, 2, shuffle=True)}, stages=[stage])).fit()
    torch.save({"state": student.state_dict(), "calls": student[1].calls}, output)


def fork(rank: int, port: int, cases: list[tuple[bool, int]], folder: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        for stop_early, accumulate in cases:
            train(stop_early, accumulate, folder / f"{stop_early}-{accumulate}-{rank}.pt")
        code = 0
    finally:
        os._exit(code)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port, folder = probe.getsockname()[1], Path(name)
        probe.close()
        cases = [(stop, accumulate) for stop in (False, True) for accumulate in (1, 2)]
        codes = [os.waitpid(pid, 0)[1] for pid in [fork(rank, port, cases, folder) for rank in range(2)]]
        read = {path.stem: torch.load(path) for path in folder.glob("*.pt")}
    rows = []
    for accumulate in (1, 2):
        for rank in (0, 1):
            complete, stopped = (read[f"{stop}-{accumulate}-{rank}"] for stop in (False, True))
            same = {key: torch.equal(value, stopped["state"][key]) for key, value in complete["state"].items()}
            rows.append(
                {"different": [key for key in same if not same[key]], "calls": [complete["calls"], stopped["calls"]]}
            )
    print(json.dumps({"codes": codes, "rows": rows}))
    sys.exit(any(codes))
