"""Rows of outputs as records: classes with probabilities, labels and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ..errors import DataError

Records = list[dict[str, Any]]


def class_records(scores: Tensor, names: Sequence[str] = (), top: int = 5) -> Records:
    """Return the most probable class of each sample with its probability, and the `top` most probable classes.

    Classes of equal scores are in the order of their indices.

    Args:
        scores: (batch, classes) logits.
        names: The names of the classes in order; their indices by default.
        top: Number of classes to list, at most all.

    >>> import torch
    >>> class_records(torch.tensor([[0.0, 0.0, 2.0]]).log_softmax(1), ["cat", "cow", "dog"], top=2)[0]["class"]
    'dog'

    Raises:
        DataError: The number of names is not the number of classes.
    """
    scores = _rows(scores)
    names = _names(names, scores.shape[1])
    probabilities = scores.double().softmax(1)
    # Sorted by scores: probabilities of different scores may round to the same number.
    order = scores.argsort(dim=1, descending=True, stable=True)[:, : max(top, 1)]
    records = []
    for row, best in zip(probabilities.tolist(), order.tolist(), strict=True):
        first = {"class": names[best[0]], "probability": row[best[0]]}
        listed = [{"class": names[index], "probability": row[index]} for index in best]
        records.append({**first, "top": listed})
    return records


def label_records(scores: Tensor, names: Sequence[str] = (), top: int = 5, threshold: float = 0.5) -> Records:
    """Return the labels of each sample, which may have any number of them, and the `top` most probable ones.

    Args:
        scores: (batch, labels) logits.
        names: The names of the labels in order; their indices by default.
        top: Number of labels to list with their probabilities.
        threshold: Least probability of a label.

    Raises:
        DataError: The number of names is not the number of labels.
    """
    scores = _rows(scores)
    names = _names(names, scores.shape[1])
    probabilities = scores.double().sigmoid()
    order = scores.argsort(dim=1, descending=True, stable=True)[:, : max(top, 1)]
    records: Records = []
    for row, best in zip(probabilities.tolist(), order.tolist(), strict=True):
        labels = [name for name, probability in zip(names, row, strict=True) if probability >= threshold]
        listed = [{"class": names[index], "probability": row[index]} for index in best]
        records.append({"labels": labels, "top": listed})
    return records


def value_records(values: Tensor) -> Records:
    """Return the number of each sample.

    Args:
        values: (batch,) or (batch, 1).

    Raises:
        DataError: The model has several outputs.
    """
    rows = values.detach().reshape(len(values), -1)
    if rows.shape[1] != 1:
        message = f"the data have one number as target, but the model has {rows.shape[1]} outputs"
        raise DataError(message)
    return [{"value": value} for value in rows[:, 0].tolist()]


def scores_of(outputs: Any) -> Tensor:
    """Return the tensor of scores in the output of a model: the tensor itself, or its `logits` or `out`.

    Raises:
        DataError: The output has none.
    """
    for name in ("logits", "out"):
        found = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
        if isinstance(found, Tensor) and not isinstance(outputs, Tensor):
            return found
    if isinstance(outputs, Tensor):
        return outputs
    message = f"the output of the model is a {type(outputs).__name__} without `logits`"
    raise DataError(message, hint="give the test of the run a metric whose input is the tensor of the predictions")


def _rows(scores: Tensor) -> Tensor:
    if scores.dim() != 2:
        message = f"scores of classes must be (batch, classes), got {tuple(scores.shape)}"
        raise DataError(message, hint="see `given_inputs` of distill_core.data.AcceptsInputs for other predictions")
    return scores.detach().cpu()


def _names(names: Sequence[str], count: int) -> Sequence[Any]:
    """Return the names of the classes, by default their indices."""
    if names and len(names) != count:
        message = f"the data have {len(names)} classes, but the model has {count} outputs"
        raise DataError(message)
    return names or range(count)
