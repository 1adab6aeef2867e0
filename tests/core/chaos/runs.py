"""The runs that are killed: one with two stages, and several that between them use every loss with state."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from distill_core.data import Loader
from distill_core.train import Callback, Checkpoint, Evaluate, Experiment, Metric, Run, Stage, Term

from ...nlp.losses.cases import CASES as TEXT_CASES
from ...nlp.losses.test_resume import inputs_of
from ..losses.cases import table
from ..losses.stages import BATCH, joint_experiment

NUM_GROUPS = 7
TIMEOUT = 30.0  # seconds that a process waits for the others on a busy machine


class Noisy:
    """Thirty samples, each with noise from all three global generators."""

    def __init__(self) -> None:
        self.inputs = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.randn(6) + random.random()
        return self.inputs[index] + 0.1 * noise, int(self.inputs[index, :3].argmax())


class TopOne:
    def reset(self) -> None:
        self.right = self.seen = 0

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.right += int((preds.argmax(1) == target).sum())
        self.seen += len(target)

    def compute(self) -> float:
        return 100 * self.right / self.seen


class Bank(nn.Module):
    """A loss with a learnable part and a memory: both belong into a checkpoint."""

    reduction_scope = "sample"

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(5, 8)
        self.register_buffer("memory", torch.zeros(30, 8))

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
        mapped = self.map(student)
        loss = (mapped - teacher).square().mean() + 0.1 * (mapped - self.memory[index]).square().mean()
        self.memory[index] = mapped.detach()
        return loss


class Counts(Callback):
    """Remembers something that changes at the end of each epoch; listed after the checkpoint on purpose."""

    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, run: Run) -> None:
        self.epochs += 1

    def on_fit_end(self, run: Run, results: dict[str, Any]) -> None:
        (run.output / "epochs.txt").write_text(str(self.epochs))

    def state(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


def two_stages(workers: int, processes: int) -> Experiment:
    """Return two stages of three epochs: accumulation, averages, dropout, schedules by step, checkpoints within epochs."""
    torch.manual_seed(0)
    models = {
        "teacher": nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)),
        "student": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 3)),
    }
    bank = Term(loss=Bank(), inputs={"student": "student.2", "teacher": "teacher.1", "index": "batch.index"})
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    loader = Loader(Noisy(), 8 if processes == 1 else 4, shuffle=True, num_workers=workers)
    metrics = {"top1": Metric(metric=TopOne(), inputs={"preds": "student_ema", "target": "batch.target"})}
    by_step = partial(torch.optim.lr_scheduler.CosineAnnealingLR)
    stages = [
        Stage(
            epochs=3, losses={"bank": bank}, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
            scheduler=by_step, scheduler_step="step", accumulate=2,
        ),
        Stage(losses={"ce": ce, "bank": bank}, optimizer=partial(torch.optim.AdamW, lr=0.01)),
    ]  # fmt: skip
    return Experiment(
        models=models,
        data={"train": loader},
        stages=stages,
        callbacks=[Evaluate(Loader(Noisy(), 9), metrics), Checkpoint(best="top1", every_steps=1), Counts()],
        ema={"student": 0.9},
        log_every=3,
        timeout=TIMEOUT,
    )


def has_state(loss: nn.Module) -> bool:
    """Return whether a loss has parameters or buffers, those without a shape included."""
    return any(True for _ in (*loss.parameters(), *loss.buffers()))


def kind(loss: nn.Module) -> str:
    """Return the class of a loss, and whether its tensors still lack shapes."""
    lazy = any(is_lazy(tensor) for tensor in (*loss.parameters(), *loss.buffers()))
    return f"{type(loss).__name__}{'_lazy' if lazy else ''}"


def stateful_losses() -> dict[str, Callable[[], tuple[nn.Module, dict[str, Any]]]]:
    """Return kind → a function that makes such a loss and its inputs, from the tables that all losses are tested with."""
    makers = [(case.loss, partial(case.draw, BATCH)) for case in table()]
    makers += [(make, partial(inputs_of, name)) for name, (make, *_) in TEXT_CASES.items()]
    kinds: dict[str, Callable[[], tuple[nn.Module, dict[str, Any]]]] = {}
    for make, draw in makers:
        torch.manual_seed(1)
        loss = make()
        if has_state(loss):
            kinds.setdefault(kind(loss), partial(_made, make, draw))
    return kinds


def groups() -> list[list[str]]:
    """Return the kinds of losses with state in groups, each of which is trained at once."""
    names = sorted(stateful_losses())
    return [names[first::NUM_GROUPS] for first in range(NUM_GROUPS)]


def with_losses(names: list[str], workers: int, processes: int) -> Experiment:
    """Return a run that trains with several losses at once, each with its own weights and memory."""
    makers = stateful_losses()
    terms = {name: makers[name]() for name in names}
    callbacks = [Checkpoint(every_steps=1), Counts()]
    batch_size = {1: 8, 2: 4, 3: 3}[processes]  # the last batch has two samples or more on each process
    return joint_experiment(terms, batch_size, workers, callbacks=callbacks, ema={"student": 0.9}, timeout=TIMEOUT)


def experiment(group: int, workers: int, processes: int) -> Experiment:
    """Return the run of two stages (group 0) or one of the runs with losses (groups from 1)."""
    return with_losses(groups()[group - 1], workers, processes) if group else two_stages(workers, processes)


def _made(make: Callable[[], nn.Module], draw: Callable[[], dict[str, Any]]) -> tuple[nn.Module, dict[str, Any]]:
    torch.manual_seed(1)
    return make(), draw()
