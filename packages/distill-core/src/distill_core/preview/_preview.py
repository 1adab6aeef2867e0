"""A preview of an experiment: its stages and metrics without training, on the meta device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from ..config import Document
from ..data import SeedPath
from ..errors import DistillError, Problem
from ..experiment import Experiment
from ..taps import BATCH
from ..train import Callback, check_readers, resolved_stages
from ..train.step import EMA
from ..train.teachers import Caches, set_own_inputs
from ..wiring import Wiring, check_signature, read_batch
from ._example_batch import example_batch, loader_of
from ._locator import Locator, unique
from ._meta_copy import on_meta
from ._record import MetricPreview, ModelPreview, Preview, StagePreview
from ._stage_check import StageCheck
from ._tap_problems import evaluations, tap_problems


def preview(experiment: Experiment, document: Document | None = None) -> Preview:
    """Return what a run of an experiment will do: shapes, losses, trained parameters, notes and problems.

    Nothing is trained, and the models of the experiment do not change: copies of them run on the meta device. A dataset
    is not read if its data function has an example of its batches (`distill_core.data.with_example`). Otherwise a few of
    its samples are read.

    Args:
        experiment: The experiment.
        document: The document that it was built from, which gives problems their position in the file.

    >>> from functools import partial
    >>> import torch
    >>> from distill_core.data import Loader
    >>> from distill_core.experiment import Stage, Term
    >>> data = Loader(torch.utils.data.TensorDataset(torch.zeros(8, 4), torch.zeros(8, dtype=torch.long)), 4)
    >>> term = Term(loss=torch.nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    >>> stage = Stage(epochs=1, optimizer=partial(torch.optim.SGD, lr=0.1), losses={"ce": term})
    >>> found = preview(Experiment(models={"student": torch.nn.Linear(4, 2)}, data={"train": data}, stages=[stage]))
    >>> [(tap.tap, tap.shape) for tap in found.stages[0].taps], found.problems
    ([('student', '(4, 2)'), ('batch.target', '(4,)')], ())
    """
    locator = Locator(experiment.stages, document)
    try:
        experiment = on_meta(experiment)
        models = dict(experiment.models)
        with torch.device("meta"):
            EMA(models, experiment.ema)
    except DistillError as error:
        return Preview(models=(), problems=(locator.problem(error.key, error),))
    set_own_inputs(models, experiment, shapes_only=True)
    experiment = replace(experiment, models=models)
    sizes = [_size(name, model) for name, model in models.items()]
    if problems := tap_problems(experiment, locator):
        return Preview(models=sizes, problems=unique(problems))
    stages, notes, problems = _stages(experiment, locator)
    metrics, more = _metrics(experiment, locator)
    problems += [*more, *_callbacks(experiment, locator)]
    return Preview(models=sizes, stages=stages, metrics=metrics, notes=notes, problems=tuple(unique(problems)))


def _size(name: str, model: torch.nn.Module) -> ModelPreview:
    parameters: list[Any] = list(model.parameters())
    num_parameters = sum(parameter.numel() for parameter in parameters if not is_lazy(parameter))
    return ModelPreview(name=name, kind=type(model).__name__, num_parameters=num_parameters)


def _stages(experiment: Experiment, locator: Locator) -> tuple[list[StagePreview], Sequence[Problem], list[Problem]]:
    """Return the previews of the stages, the notes and the problems."""
    try:
        stages = resolved_stages(experiment)
        caches = Caches(experiment)
    except DistillError as error:
        return [], (), [locator.problem(error.key, error)]
    previews: list[StagePreview] = []
    problems: list[Problem] = []
    notes: Sequence[Problem] = ()
    try:
        notes = [Problem(note) for note in check_readers(experiment.models, experiment, stages)]
    except DistillError as error:
        problems.append(locator.problem("data", error))
    averages = [f"{name}_ema" for name in experiment.ema]
    for index, stage in enumerate(stages):
        data = stage.data if stage.data is not None else experiment.data["train"]
        start = SeedPath(experiment.seed, index)
        try:
            batch = example_batch(data, start)
        except DistillError as error:
            key = "data" if stage.data is None else locator.stage_key(index, "data")
            problems.append(locator.problem(key, error))
            continue
        check = StageCheck(experiment.models, stage, index, batch, locator, averages, caches)
        found = check.run(data, loader_of(data), start)
        previews += [found] if found else []
        problems += check.problems
    return previews, notes, problems


def _callbacks(experiment: Experiment, locator: Locator) -> Iterator[Problem]:
    """Yield a problem for each callback that will fail with the models."""
    for index, callback in enumerate(experiment.callbacks):
        try:
            if isinstance(callback, Callback):
                callback.check(experiment.models)
        except DistillError as error:
            yield locator.problem(f"callbacks.{index}", error)


def _metrics(experiment: Experiment, locator: Locator) -> tuple[list[MetricPreview], list[Problem]]:
    """Return the metrics, and a problem for each whose signature or batch fields do not fit."""
    metrics: list[MetricPreview] = []
    problems: list[Problem] = []
    for split, key, evaluation in evaluations(experiment):
        try:
            batch = example_batch(evaluation.loader)
        except DistillError as error:
            problems.append(locator.problem(f"{key}.loader", error))
            continue
        for name, entry in evaluation.metrics.items():
            try:
                check_signature(entry.metric, entry.inputs, f"metrics.{name}")
                for tap in Wiring(entry.inputs, f"metrics.{name}").taps:
                    read_batch(batch, tap) if tap.source == BATCH else None
            except DistillError as error:
                problems.append(locator.problem(f"{key}.metrics.{name}.inputs", error))
            kind = type(entry.metric).__name__
            metrics.append(MetricPreview(split=split, name=name, kind=kind, inputs=entry.inputs))
    return metrics, problems
