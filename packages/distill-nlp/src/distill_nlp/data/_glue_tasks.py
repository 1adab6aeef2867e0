"""The GLUE tasks: folders, columns, labels and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from distill_core.errors import DataError, did_you_mean

Metric = Literal["accuracy", "f1", "matthews", "correlation"]


@dataclass(frozen=True)
class GlueTask:
    """A GLUE task.

    Attributes:
        name: The name here and on the hub.
        folder: The name in GLUE's archive.
        columns: The one or two text columns, each with its possible names.
        labels: The class names in order, None for scores.
        metrics: GLUE's metrics for the task.
        target: The possible names of the target column.
        headless: The columns of files without a header, None if all files have one.
    """

    name: str
    folder: str
    columns: tuple[tuple[str, ...], ...]
    labels: tuple[str, ...] | None = ("0", "1")
    metrics: tuple[Metric, ...] = ("accuracy",)
    target: tuple[str, ...] = ("label",)
    headless: tuple[str, ...] | None = None

    @property
    def num_labels(self) -> int:
        """The number of outputs of a model: one per class, or one for a score."""
        return len(self.labels) if self.labels is not None else 1


_SINGLE = (("sentence",),)
_PAIR = (("sentence1", "premise"), ("sentence2", "hypothesis"))
_ENTAILMENT = ("entailment", "not_entailment")
_NLI = ("entailment", "neutral", "contradiction")
_QUESTIONS = (("question1",), ("question2",))
_COLA_FILE = ("source", "label", "mark", "sentence")
_MRPC = (("sentence1", "#1 String"), ("sentence2", "#2 String"))

TASKS = {
    task.name: task
    for task in (
        GlueTask("cola", "CoLA", _SINGLE, metrics=("matthews",), headless=_COLA_FILE),
        GlueTask("sst2", "SST-2", _SINGLE),
        GlueTask("mrpc", "MRPC", _MRPC, metrics=("accuracy", "f1"), target=("label", "Quality")),
        GlueTask("stsb", "STS-B", _PAIR, None, metrics=("correlation",), target=("score", "label")),
        GlueTask("qqp", "QQP", _QUESTIONS, metrics=("accuracy", "f1"), target=("label", "is_duplicate")),
        GlueTask("mnli", "MNLI", _PAIR, _NLI, target=("label", "gold_label")),
        GlueTask("qnli", "QNLI", (("question",), ("sentence",)), _ENTAILMENT),
        GlueTask("rte", "RTE", _PAIR, _ENTAILMENT),
        GlueTask("wnli", "WNLI", _PAIR),
        GlueTask("ax", "AX", _PAIR, _NLI, metrics=("matthews",)),
    )
}


def glue_task(name: str) -> GlueTask:
    """Return the task of a name.

    >>> glue_task("mnli").labels
    ('entailment', 'neutral', 'contradiction')

    Raises:
        DataError: There is no such task.
    """
    if name not in TASKS:
        message = f"there is no GLUE task '{name}'"
        raise DataError(message, hint=did_you_mean(name, TASKS))
    return TASKS[name]
