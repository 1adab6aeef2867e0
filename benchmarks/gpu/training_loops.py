"""The same job in a plain PyTorch loop, in this project's loop and in accelerate's, all in bfloat16 mixed precision.

Each gathers a batch from tensors in host memory, moves it to the device, steps fused AdamW, and reads the mean loss once per
block of steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from clock import Clock
from jobs import Job
from part import Setting
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Sampler

from distill_core.data import Loader, TensorData
from distill_core.train import Callback, Experiment, Stage, Term, Trainer

Loop = Callable[[Job, Clock, Setting], None]
Prepare = Callable[[nn.Module], Any]
LR = 1e-4


def _indices(job: Job) -> Iterator[Tensor]:
    """Yield the samples of each batch, without end."""
    return itertools.cycle(torch.arange(len(next(iter(job.fields.values())))).split(job.batch_size))


def _adamw(model: nn.Module) -> torch.optim.AdamW:
    return torch.optim.AdamW(model.parameters(), lr=LR, fused=True)


class _Mean:
    """The mean loss of a block, on the device until it is read."""

    def __init__(self, clock: Clock, device: torch.device) -> None:
        self.clock, self.sum, self.count = clock, torch.zeros((), device=device), 0

    def add(self, loss: Tensor) -> None:
        self.sum += loss.detach()
        self.count += 1
        if self.count == self.clock.block:
            self.clock.loss, self.count = self.sum.item() / self.count, 0
            self.sum.zero_()
        self.clock.tick()


def plain(job: Job, clock: Clock, setting: Setting, prepare: Prepare = lambda model: model) -> None:
    """Train in plain PyTorch.

    Args:
        job: The job.
        clock: Measures the steps.
        setting: Device and size.
        prepare: Applied to the student before the optimizer is created.
    """
    device = setting.torch_device
    student, teacher = job.models(device)
    prepare(student)
    optimizer, mean = _adamw(student), _Mean(clock, device)
    for index in itertools.islice(_indices(job), clock.num_steps):
        batch = {name: field.index_select(0, index).to(device, non_blocking=True) for name, field in job.fields.items()}
        with torch.autocast(device.type, torch.bfloat16):
            with torch.no_grad():
                soft = job.output(teacher, batch)
            loss = job.objective(job.output(student, batch), soft, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean.add(loss)


class _Cycle(Sampler[int]):
    """The samples in order, repeated for a number of steps, so that an epoch does not end between log lines."""

    def __init__(self, job: Job, steps: int) -> None:
        self._indices = torch.cat(list(itertools.islice(_indices(job), steps))).tolist()

    def __len__(self) -> int:
        return len(self._indices)

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)


class _Ticks(Callback):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_end(self, run: Any) -> None:  # noqa: ARG002
        self.clock.tick()

    def on_log(self, run: Any, record: dict[str, Any]) -> None:  # noqa: ARG002
        self.clock.loss = record.get("loss", self.clock.loss)


def experiment_of(
    job: Job,
    clock: Clock,
    setting: Setting,
    *,
    prepare: Prepare = lambda model: model,
    in_epochs: bool = False,
    **keys: Any,
) -> Experiment:
    """Return the experiment of a job.

    Args:
        job: The job.
        clock: Has the number of steps.
        setting: Device and size.
        prepare: Applied to the student before the experiment is created.
        in_epochs: Read each sample once per epoch, as a cache requires, instead of one long epoch.
        keys: Additional keys of the experiment: `compile`, `cache`.
    """
    student, teacher = job.models(setting.torch_device)
    prepare(student)
    taps = {"student": f"student{job.logits}", "teacher": f"teacher{job.logits}"}
    terms = {
        name: Term(loss=loss, weight=weight, inputs={p: taps.get(s, f"batch.{s}") for p, s in inputs.items()})
        for name, (weight, loss, inputs) in job.losses.items()
    }
    feed = {name: {field: f"batch.{field}" for field in job.feed} for name in ("student", "teacher")}
    stage = Stage(
        steps=clock.num_steps,
        losses=terms,
        optimizer=partial(torch.optim.AdamW, lr=LR),
        **({"feed": feed} if job.feed else {}),
    )
    sampler = None if in_epochs else _Cycle(job, clock.num_steps)
    loader = Loader(TensorData(job.fields), job.batch_size, sampler=sampler)
    return Experiment(
        models={"teacher": teacher, "student": student},
        data={"train": loader},
        stages=[stage],
        precision="bf16",
        log_every=clock.block,
        **keys,
    )


def distill(job: Job, clock: Clock, setting: Setting, *, callbacks: tuple[Callback, ...] = (), **settings: Any) -> None:
    """Train with this project's trainer; `settings` are those of `experiment_of`."""
    experiment = experiment_of(job, clock, setting, **settings)
    Trainer(experiment, callbacks=[_Ticks(clock), *callbacks], progress=False).fit()


class _Batches(IterableDataset[dict[str, Tensor]]):
    def __init__(self, job: Job, steps: int) -> None:
        self.job, self.steps = job, steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for index in itertools.islice(_indices(self.job), self.steps):
            yield {name: field.index_select(0, index) for name, field in self.job.fields.items()}


def accelerate(job: Job, clock: Clock, setting: Setting) -> None:
    """Train with the loop of accelerate's documentation."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=setting.device == "cpu", mixed_precision="bf16")
    student, teacher = job.models(setting.torch_device)
    batches = DataLoader(_Batches(job, clock.num_steps), batch_size=None)
    model, optimizer, loader = accelerator.prepare(student, _adamw(student), batches)
    mean = _Mean(clock, setting.torch_device)
    for batch in loader:
        with torch.no_grad(), accelerator.autocast():
            soft = job.output(teacher, batch)
        loss = job.objective(job.output(model, batch), soft, batch)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        mean.add(loss)


LOOPS: dict[str, Loop] = {"plain": plain, "Distill": distill, "accelerate": accelerate}
