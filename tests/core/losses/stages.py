"""A run of any loss in a stage: a student and a teacher that output the loss's inputs, on two batches of noise."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from distill_core.cache import hash_tensors
from distill_core.data import Loader, TensorData
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer

SAMPLES, BATCH = 16, 8


class Mirror(nn.Module):
    """Model that scales, normalises and drops its inputs, and draws from every generator unless frozen."""

    def __init__(self, heads: list[nn.Module]) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm1d(1)
        self.drop = nn.Dropout(0.1)
        self.heads = nn.ModuleList(heads)

    def forward(self, value: Any) -> Any:
        factor = self.scale * (1 + 0.1 * random.random() + 0.1 * np.random.rand()) if self.training else self.scale

        def changed(tensor: Tensor) -> Tensor:
            numbers = (tensor * factor).reshape(-1, 1)
            return self.drop(self.norm(numbers) if len(numbers) > 1 else numbers).reshape(tensor.shape)

        return {"value": apply(changed, value)}


class Noise(TensorData):
    """The inputs of a loss, sample by sample; each of them comes twice."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        super().__init__({"index": torch.arange(SAMPLES)})
        self.fields = fields

    def batch(self, indices: Tensor, seeds: Tensor) -> dict[str, Any]:
        return apply(lambda tensor: tensor[indices % BATCH] if tensor.dim() else tensor, self.fields, every=True)


class Samples:
    """The same one sample at a time, as workers read them."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self.fields = fields

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int) -> dict[str, Any]:
        return apply(lambda tensor: tensor[index % BATCH] if tensor.dim() else tensor, self.fields, every=True)


class Stop(Exception):  # noqa: N818
    """A run is ended in the midst of a step."""


class StopAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.state.step == self.step:
            raise Stop


class Look(Callback):
    """Keeps what there is after the last step."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def on_epoch_end(self, trainer: Trainer) -> None:
        run = trainer.run
        losses = {name: term.loss.state_dict() for name, term in run.stage.losses.items()}
        models = {name: model.state_dict() for name, model in trainer.models.items() if name != "teacher"}
        state = {"models": models, "losses": losses, "optimizer": run.update.state(), "means": trainer.meter.epoch()}
        generators = {"torch": torch.get_rng_state(), "python": random.getstate(), "numpy": np.random.get_state()[1:]}
        self.state = copy.deepcopy(state | generators)


def experiment(loss: nn.Module, inputs: Mapping[str, Any], workers: int | None = None) -> Experiment:
    """Return a run of two epochs of two batches with one loss; `workers` as in `joint_experiment`."""
    return joint_experiment({"loss": (loss, inputs)}, BATCH, workers, callbacks=[Checkpoint(every_steps=1)])


def joint_experiment(
    terms: Mapping[str, tuple[nn.Module, Mapping[str, Any]]],
    batch_size: int,
    workers: int | None = None,
    **options: Any,
) -> Experiment:
    """Return a run of two epochs in which a stage trains with several losses at once.

    Args:
        terms: Name → a loss and the arguments of its `forward`, `BATCH` samples; `student` and `teacher` go through models.
        batch_size: Number of samples in a batch of one process.
        workers: Number of worker processes, which read sample by sample; None reads a batch at a time.
        options: Further fields of the experiment.
    """
    fields: dict[str, dict[str, Any]] = {"student": {}, "teacher": {}, "other": {}}
    heads: dict[str, list[nn.Module]] = {"teacher": [], "student": []}
    losses = {
        name: Term(loss=loss, inputs=_wire(name, inputs, fields, heads)) for name, (loss, inputs) in terms.items()
    }
    torch.manual_seed(3)
    models = {name: Mirror(own).train() for name, own in heads.items()}
    given = {name: tensors for name, tensors in fields.items() if tensors}
    data = Noise(given) if workers is None else Samples(given)
    stage = Stage(
        epochs=2,
        losses=losses,
        optimizer=partial(torch.optim.SGD, lr=1e-3, momentum=0.9),
        train=[
            *(["student"] if "student" in given else []),
            *(["losses"] if any(True for loss, _ in terms.values() for _ in loss.parameters()) else []),
        ],
        feed={name: {"value": f"batch.{name}"} for name in heads if name in given},
    )
    loader = Loader(data, batch_size, shuffle=True, num_workers=workers or 0)
    return Experiment(models=models, data={"train": loader}, stages=[stage], log_every=100, **options)


def _wire(
    term: str, inputs: Mapping[str, Any], fields: dict[str, dict[str, Any]], heads: dict[str, list[nn.Module]]
) -> dict[str, Any]:
    """Return the wiring of a term; add its tensors to the fields of a batch and its modules to the heads of a model."""
    wired: dict[str, Any] = {}
    for name, value in inputs.items():
        if name not in heads:
            wired[name] = f"batch.other.{term}.{name}"
            fields["other"].setdefault(term, {})[name] = value
        elif isinstance(value, list) and any(isinstance(part, nn.Module) for part in value):
            tensors = [part for part in value if not isinstance(part, nn.Module)]
            fields[name][term] = tensors
            first = len(heads[name])
            heads[name] += [part for part in value if isinstance(part, nn.Module)]
            modules = [f"{name}.heads.{index}:module" for index in range(first, len(heads[name]))]
            wired[name] = [f"{name}:out.value.{term}.{index}" for index in range(len(tensors))] + modules
        else:
            fields[name][term] = list(value) if isinstance(value, tuple) else value
            wired[name] = f"{name}:out.value.{term}"
    return wired


def run(made: Experiment, output: Path | None = None, *, stop: int = 0, resume: bool = False) -> dict[str, Any]:
    """Run it, with the teacher's hash before and after; return what there is at the end."""
    teacher, look = made.models["teacher"], Look()
    before = digest(teacher)
    callbacks = [look, *([StopAt(stop)] if stop else [])]
    torch.manual_seed(int(resume) + 10 * stop)  # nothing may depend on it
    random.seed(int(resume) + 10 * stop)
    np.random.seed(int(resume) + 10 * stop)
    try:
        Trainer(made, output=output, callbacks=callbacks).fit(resume=resume)
    except Stop:
        assert stop
    assert digest(teacher) == before
    return look.state


def resumed_at_every_step(make: Callable[[], Experiment], output: Path) -> dict[str, Any]:
    """Run it so that each of its steps but the first begins in a process that has just been started."""
    for step in (2, 3, 4):
        run(make(), output, stop=step, resume=step > 2)
    return run(make(), output, resume=True)


def digest(model: nn.Module) -> str:
    """Return the hash of a model, all its buffers with it."""
    return hash_tensors({**dict(model.named_parameters()), **dict(model.named_buffers())}.items())


def apply(function: Callable[[Tensor], Tensor], value: Any, *, every: bool = False) -> Any:
    """`value` with `function` applied to its floating-point tensors, or to every tensor."""
    if isinstance(value, Tensor):
        return function(value) if every or value.is_floating_point() else value
    if isinstance(value, Mapping):
        return {key: apply(function, part, every=every) for key, part in value.items()}
    return [apply(function, part, every=every) for part in value] if isinstance(value, list | tuple) else value


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the names of tensors that differ in any bit."""
    if isinstance(one, Tensor | np.ndarray):
        return [] if torch.as_tensor(one).equal(torch.as_tensor(other)) else [path]
    if isinstance(one, Mapping):
        if one.keys() != other.keys():
            return [f"{path}: {sorted(map(str, one.keys() ^ other.keys()))}"]
        return [name for key in one for name in differences(one[key], other[key], f"{path}.{key}")]
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return [path]
        return [x for i, pair in enumerate(zip(one, other, strict=True)) for x in differences(*pair, f"{path}.{i}")]
    return [] if one == other else [path]
