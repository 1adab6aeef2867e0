"""Predictions for inputs without targets: which value of a model they are, and the loop over the batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ..data import GivenInputs, Loader, PredictionOptions, class_names_of_data, class_names_of_model
from ..errors import DataError, DistillError
from ..experiment import Evaluation, Inputs, Metric
from ..taps import BATCH, Tap
from ..train import evaluate
from ..tree import to_device
from ..wiring import Wiring
from ._records import class_records, label_records, scores_of, value_records

Records = list[dict[str, Any]]


def predict(
    models: Mapping[str, nn.Module],
    given: GivenInputs,
    loader: Loader,
    *,
    model: str = "student",
    evaluations: Sequence[Evaluation] = (),
    feed: Mapping[str, Inputs] | None = None,
    options: PredictionOptions | None = None,
    device: torch.device | str = "cpu",
) -> Records:
    """Return the predictions of a model for a user's own inputs, in their order.

    Args:
        models: All models by name.
        given: The inputs; see `distill_core.data.AcceptsInputs`.
        loader: The loader whose dataset prepared the inputs. It determines the batches and the names of the classes.
        model: The name of the model.
        evaluations: Evaluations, whose metrics name the value that is the prediction; see `prediction_tap`.
        feed: Model → wiring of its inputs.
        options: What the records contain.
        device: Where the models are.

    Returns:
        A record for each input: `input`, and by the kind of the predictions `class`, `probability` and `top`, `labels` and
        `top`, `value`, `boxes`, `mask` or `completion`. The record of an input that cannot be read has `error` instead.

    Raises:
        WiringError: The model reads a field that inputs without targets do not have.
        DataError: The model has another number of outputs than the data have classes.
    """
    options = options or PredictionOptions()
    names = class_names_of_data(loader) or class_names_of_model(models[model])
    samples = _loader_of(given, loader)

    def predicted() -> Records:
        if given.complete is not None:
            return _completed(models[model], given, samples, options, device)
        collected = _Collected(given, names, options)
        inputs = {"outputs": prediction_tap(evaluations, model), "batch": BATCH}
        metrics = {"predictions": Metric(metric=collected, inputs=inputs)}
        evaluate(models, Evaluation(loader=samples, metrics=metrics), feed, device)
        return collected.records

    errors = dict(given.errors)
    try:
        records = predicted()
    except DataError:
        errors |= _unreadable(given.dataset, range(len(given.inputs)))
        if len(errors) < len(given.inputs):
            raise
        records = [{} for _ in given.inputs]
    else:
        errors |= _unreadable(given.dataset, samples.bad_samples.found if samples.bad_samples else ())
    rows = ({"error": errors[index]} if index in errors else record for index, record in enumerate(records))
    return [{"input": given, **row} for given, row in zip(given.inputs, rows, strict=True)]


def _loader_of(given: GivenInputs, loader: Loader) -> Loader:
    """Return the loader of the inputs, in which another input replaces one that cannot be read."""
    collate, count = given.collate or loader.collate, len(given.inputs)
    samples = Loader(
        given.dataset, loader.batch_size, collate=collate, fields=loader.fields, max_bad_samples=count, num_workers=0
    )
    if samples.bad_samples is not None:
        samples.bad_samples.logs = False  # the records have the errors
    return samples


def _unreadable(dataset: Any, indices: Iterable[int]) -> dict[int, str]:
    """Return the reason why a sample cannot be read, for each of these that cannot."""
    reasons = {}
    for index in indices:
        try:
            dataset[index]
        except DistillError as error:
            reasons[index] = error.message
        except Exception as error:  # noqa: BLE001 - a dataset may raise anything
            reasons[index] = f"{type(error).__name__}: {error}"
    return reasons


def prediction_tap(evaluations: Sequence[Evaluation], model: str) -> str:
    """Return the tap of a model's predictions: what a metric reads as `preds`, or else the model's output.

    If no metric reads this model, the tap is that of another model with the source replaced.

    >>> metric = Metric(metric=None, inputs={"preds": "student:out.logits", "target": "batch.target"})
    >>> test = Evaluation(loader=None, metrics={"accuracy": metric})
    >>> prediction_tap([test], "student"), prediction_tap([test], "teacher"), prediction_tap([], "student")
    ('student:out.logits', 'teacher:out.logits', 'student')
    """
    metrics = [entry for evaluation in evaluations for entry in evaluation.metrics.values()]
    found = [tap for entry in metrics for tap in (_tap_of(entry),) if tap is not None]
    own = next((tap for tap in found if tap.source == model), None)
    other = next(iter(found), Tap(model)) if own is None else own
    return str(Tap(model, other.path, other.port, other.fields))


def _tap_of(entry: Metric) -> Tap | None:
    """Return the tap that a metric reads as predictions; None if it reads several or none."""
    tap = Wiring(entry.inputs, "metric").inputs.get("preds")
    return tap if isinstance(tap, Tap) and tap.source != BATCH else None


class _Collected:
    """A metric without values that collects the record of each sample."""

    def __init__(self, given: GivenInputs, names: Sequence[str], options: PredictionOptions) -> None:
        self.given, self.names, self.options = given, names, options
        self.records: Records = []

    def reset(self) -> None:
        """Remove all records."""
        self.records = []

    def update(self, outputs: Any, batch: Mapping[str, Any]) -> None:
        """Add the records of a batch."""
        if self.given.describe is not None:
            self.records += self.given.describe(outputs, batch, self.options)
            return
        scores, top = scores_of(outputs), self.options.top
        if self.given.outputs == "value":
            self.records += value_records(scores)
        elif self.given.outputs == "labels":
            self.records += label_records(scores, self.names, top, self.options.threshold)
        else:
            self.records += class_records(scores, self.names, top)

    def compute(self) -> dict[str, float]:
        """Return no values."""
        return {}


def _completed(
    model: nn.Module, given: GivenInputs, samples: Loader, options: PredictionOptions, device: torch.device | str
) -> Records:
    records: Records = []
    for batch in samples:
        records += given.complete(model, to_device(batch, device), options) if given.complete else []
    return records
