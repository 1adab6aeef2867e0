"""The same work in a plain PyTorch loop, in this project's loop, and in those of other libraries.

All of them gather a batch from tensors in memory, compute the same objective, step the same optimizer, and read the mean
loss every `log_every` steps.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from lanes import Loop, Tick
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset
from works import Work

from distill_core.data import Loader, TensorData
from distill_core.distributed import rank, world_size
from distill_core.train import Callback, Experiment, Stage, Term, Trainer

Objective = Callable[[Tensor, Tensor], Tensor]


def objective_by_hand(work: Work, student: Callable[..., Any]) -> Objective:
    """Return the loss of a batch written by hand: hooks that fill a dictionary, and a sum."""
    kept: dict[tuple[str, str], Tensor] = {}
    for source, model in (("student", work.student), ("teacher", work.teacher)):
        modules = dict(model.named_modules())
        for layer in work.layers:
            modules[layer].register_forward_hook(partial(_keep, kept, (source, layer)))
    work.teacher.eval().requires_grad_(False)
    label, soft, hint = work.criteria
    by_label, by_teacher, by_hint = work.weights

    def objective(inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.no_grad():
            teacher_logits = work.teacher(inputs)
        logits = student(inputs)
        loss: Tensor = by_label * label(logits, targets) + by_teacher * soft(logits, teacher_logits)
        for layer in work.layers:
            loss = loss + by_hint * hint(kept["student", layer], kept["teacher", layer])
        return loss

    return objective


def _keep(
    kept: dict[tuple[str, str], Tensor], key: tuple[str, str], _module: nn.Module, _args: Any, output: Tensor
) -> None:
    kept[key] = output


def _sgd(work: Work, *, fused: bool | None = None) -> torch.optim.SGD:
    return torch.optim.SGD(work.student.parameters(), lr=work.lr, momentum=work.momentum, fused=fused)


def plain(work: Work, *, fused: bool | None = None) -> Loop:
    """Return the loop in plain PyTorch, with torch's default optimizer or the fused one; on several processes with DDP."""

    def loop(tick: Tick) -> None:
        student = (
            DistributedDataParallel(work.student, gradient_as_bucket_view=True, forward_sync_buffers=False)
            if world_size() > 1
            else work.student
        )
        objective, optimizer = objective_by_hand(work, student), _sgd(work, fused=fused)
        work.student.train()
        running, step = torch.zeros(()), 0
        while True:
            for index in torch.arange(len(work.inputs)).split(work.batch_size)[rank() :: world_size()]:
                loss = objective(work.inputs.index_select(0, index), work.targets.index_select(0, index))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                running += loss.detach()
                step += 1
                if step % work.log_every == 0:
                    running.item()
                    running.zero_()
                tick()

    return loop


class _TickCallback(Callback):
    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def on_step_end(self, trainer: Trainer) -> None:  # noqa: ARG002
        self.tick()


def distill(work: Work, **keys: Any) -> Loop:
    """Return the loop of this project's trainer.

    Args:
        keys: Additional keys of the experiment: `compile`, `channels_last`, `precision`.
    """

    def loop(tick: Tick) -> None:
        label, soft, hint = work.criteria
        by_label, by_teacher, by_hint = work.weights
        terms = {
            "ce": Term(loss=label, inputs={"input": "student", "target": "batch.target"}, weight=by_label),
            "kd": Term(loss=soft, inputs={"student": "student", "teacher": "teacher"}, weight=by_teacher),
        }
        for layer in work.layers:
            inputs = {"input": f"student.{layer}", "target": f"teacher.{layer}"}
            terms[layer.replace(".", "_")] = Term(loss=hint, inputs=inputs, weight=by_hint)
        data = TensorData({"input": work.inputs, "target": work.targets})
        stage = Stage(
            epochs=10**6, losses=terms, optimizer=partial(torch.optim.SGD, lr=work.lr, momentum=work.momentum)
        )
        experiment = Experiment(
            models={"teacher": work.teacher, "student": work.student},
            data={"train": Loader(data, work.batch_size)},
            stages=[stage],
            log_every=work.log_every,
            **keys,
        )
        Trainer(experiment, callbacks=[_TickCallback(tick)], progress=False).fit()

    return loop


class _Batches(IterableDataset[dict[str, Tensor]]):
    """The batches of an epoch."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def __len__(self) -> int:
        return len(self.work.inputs) // self.work.batch_size

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        work = self.work
        for index in torch.arange(len(work.inputs)).split(work.batch_size):
            yield {"input": work.inputs.index_select(0, index), "target": work.targets.index_select(0, index)}


def accelerate(work: Work) -> Loop:
    """Return the loop of accelerate's documentation."""
    from accelerate import Accelerator

    def loop(tick: Tick) -> None:
        accelerator = Accelerator(cpu=True)
        student, optimizer, loader = accelerator.prepare(
            work.student, _sgd(work), DataLoader(_Batches(work), batch_size=None)
        )
        objective = objective_by_hand(work, student)
        student.train()
        running, step = torch.zeros(()), 0
        for _ in itertools.count():
            for batch in loader:
                loss = objective(batch["input"], batch["target"])
                optimizer.zero_grad()
                accelerator.backward(loss)
                optimizer.step()
                running += loss.detach()
                step += 1
                if step % work.log_every == 0:
                    running.item()
                    running.zero_()
                tick()

    return loop


def fabric(work: Work) -> Loop:
    """Return the loop of Lightning Fabric's documentation."""
    from lightning_fabric import Fabric

    def loop(tick: Tick) -> None:
        lightning = Fabric(accelerator="cpu", devices=1)
        student, optimizer = lightning.setup(work.student, _sgd(work))
        loader = lightning.setup_dataloaders(DataLoader(_Batches(work), batch_size=None))
        objective = objective_by_hand(work, student)
        student.train()
        running, step = torch.zeros(()), 0
        for _ in itertools.count():
            for batch in loader:
                loss = objective(batch["input"], batch["target"])
                optimizer.zero_grad()
                lightning.backward(loss)
                optimizer.step()
                running += loss.detach()
                step += 1
                if step % work.log_every == 0:
                    running.item()
                    running.zero_()
                tick()

    return loop


def transformers(work: Work) -> Loop:
    """Return the loop of transformers' Trainer with a `compute_loss`, as in its guide to distillation."""
    import tempfile

    import transformers as hf

    class Ticks(hf.TrainerCallback):  # type: ignore[misc]
        def __init__(self, tick: Tick) -> None:
            self.tick = tick

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
            self.tick()

    class Distillation(hf.Trainer):  # type: ignore[misc]
        objective: Objective | None = None

        def get_train_dataloader(self) -> Any:
            return self.accelerator.prepare(DataLoader(_Batches(work), batch_size=None))

        def compute_loss(self, model: Any, inputs: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Tensor:  # noqa: ARG002
            if self.objective is None:
                self.objective = objective_by_hand(work, model)
            return self.objective(inputs["input"], inputs["target"])

    def loop(tick: Tick) -> None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = hf.TrainingArguments(
                output_dir=folder,
                per_device_train_batch_size=work.batch_size,
                max_steps=10**9,
                max_grad_norm=0.0,
                logging_steps=work.log_every,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
            )
            optimizer = _sgd(work)
            constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _step: 1.0)
            trainer = Distillation(
                model=work.student, args=arguments, optimizers=(optimizer, constant), callbacks=[Ticks(tick)]
            )
            trainer.pop_callback(hf.PrinterCallback)
            trainer.train()

    return loop


def others() -> dict[str, Callable[[Work], Loop]]:
    """Return the loops of other installed libraries."""
    names = {"accelerate": ("accelerate", accelerate), "Fabric": ("lightning_fabric", fabric)}
    installed = {name: make for name, (module, make) in names.items() if importlib.util.find_spec(module)}
    return installed | ({"transformers": transformers} if importlib.util.find_spec("transformers") else {})
