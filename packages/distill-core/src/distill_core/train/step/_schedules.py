"""Scheduled values: weights of terms, attributes of losses, and modules that follow the progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from torch import Tensor, nn

from ...errors import TrainingError, WiringError, did_you_mean
from ...experiment import StageProgress, Term
from ...ranges import Range

_WEIGHTS = Range(min=0)


class Schedules:
    """The schedules of a stage.

    The method `set_progress` of a module in a loss is called with the progress before each batch.

    Args:
        terms: The terms of the objective by name.

    Attributes:
        constant: The weight of each term, if nothing is scheduled.

    Raises:
        WiringError: A term schedules a number that its loss does not have.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        self.terms = dict(terms)
        losses = [term.loss for term in terms.values()]
        self._followers = list({id(part): part for part in _parts(losses) if hasattr(part, "set_progress")}.values())
        for name, term in terms.items():
            for attribute in term.schedules:
                _check(term.loss, attribute, f"losses.{name}")
        weights = {name: term.weight for name, term in terms.items() if not callable(term.weight)}
        changes = self._followers or len(weights) < len(terms) or any(term.schedules for term in terms.values())
        self.constant = None if changes else weights

    def at(self, progress: StageProgress) -> dict[str, float]:
        """Set every scheduled value; return the weight of each term.

        Raises:
            TrainingError: A schedule returns a weight that is not a finite number >= 0.
        """
        for part in self._followers:
            part.set_progress(progress)
        for term in self.terms.values():
            for attribute, schedule in term.schedules.items():
                setattr(term.loss, attribute, schedule(progress))
        return {name: _weight(name, term, progress) for name, term in self.terms.items()}


def _weight(name: str, term: Term, progress: StageProgress) -> float:
    if not callable(term.weight):
        return term.weight
    weight: float = term.weight(progress)
    if not _is_weight(weight):
        schedule = getattr(term.weight, "__name__", type(term.weight).__name__)
        message = f"{schedule} must return a finite number >= 0, got {weight!r} at step {progress.step}"
        raise TrainingError(message, key=f"losses.{name}.weight")
    return weight


def _is_weight(value: Any) -> bool:
    """Return whether a value is a finite number >= 0; a tensor is not compared, which could wait for a GPU."""
    return isinstance(value, Tensor) or (isinstance(value, Real) and float(value) in _WEIGHTS)


def _parts(losses: Iterable[Any]) -> Iterable[Any]:
    for loss in losses:
        yield from loss.modules() if isinstance(loss, nn.Module) else (loss,)


def _check(loss: Any, attribute: str, where: str) -> None:
    value = getattr(loss, attribute, None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return
    numbers = [name for name, number in vars(loss).items() if type(number) in (int, float) and name[0] != "_"]
    hint = did_you_mean(attribute, numbers) if numbers else "it has no numbers"
    message = f"{type(loss).__name__} has no number '{attribute}'"
    raise WiringError(message, key=f"{where}.schedules", hint=hint)
