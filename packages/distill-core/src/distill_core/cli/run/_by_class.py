"""Metrics of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...data import as_loader, class_names_of_data, class_names_of_model
from ...experiment import Evaluation, Metric
from ...train import Trainer, evaluate
from .._exit import refuse
from ._trained import feed_of


def by_class(trainer: Trainer, split: str, evaluation: Evaluation) -> Evaluation:
    """Return an evaluation whose metrics also measure each class, as far as they can.

    A class is named by the data or a model, or else by its index.

    Raises:
        ConfigError: No metric can.
    """
    names = _names(trainer, evaluation)
    metrics = dict(evaluation.metrics)
    for name, entry in evaluation.metrics.items():
        if hasattr(entry.metric, "of_classes"):
            classes = names or _indices(trainer, evaluation, name)
            metrics[name] = replace(entry, metric=entry.metric.of_classes(classes))
    if all(entry.metric is evaluation.metrics[name].metric for name, entry in metrics.items()):
        hint = "add Accuracy or ClassScores of distill_vision.metrics or distill_nlp.metrics"
        refuse(f"no metric of '{split}' has values for each class", hint)
    return replace(evaluation, metrics=metrics)


def _names(trainer: Trainer, evaluation: Evaluation) -> Sequence[str] | Mapping[int, str]:
    """Return the names of the classes, of a detector by label; empty if neither the data nor a model has any."""
    loader = as_loader(evaluation.loader)
    labels = getattr(getattr(loader, "dataset", None), "names", None)
    if isinstance(labels, Mapping):
        return labels
    named = (class_names_of_model(model) for model in trainer.models.values())
    return class_names_of_data(loader) or next(filter(None, named), ())


def _indices(trainer: Trainer, evaluation: Evaluation, name: str) -> list[str]:
    """Return the indices of the classes: as many as a metric counts, or as there are scores in a first batch."""
    entry, probe = evaluation.metrics[name], _NumClasses()
    if hasattr(entry.metric, "num_classes"):
        return [str(index) for index in range(entry.metric.num_classes)]
    inputs = {parameter: tap for parameter, tap in entry.inputs.items() if parameter == "preds"}
    if inputs:
        probing = replace(evaluation, metrics={name: Metric(metric=probe, inputs=inputs)})
        with trainer.autocast():
            evaluate(trainer.models, probing, feed_of(trainer), trainer.device, limit=1)
    if not probe.count:
        refuse(f"the classes of '{name}' have no names", "give the metric of the file its `classes`")
    return [str(index) for index in range(probe.count)]


class _NumClasses:
    """A metric without values that keeps the number of scores of a sample."""

    count = 0

    def reset(self) -> None:
        """Reset the count."""
        self.count = 0

    def update(self, preds: Any) -> None:
        """Read (batch, classes) scores."""
        self.count = preds.shape[1] if preds.ndim == 2 else 0

    def compute(self) -> dict[str, float]:
        """Return no values."""
        return {}
