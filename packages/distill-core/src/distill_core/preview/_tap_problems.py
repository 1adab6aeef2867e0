"""Taps that name no model or no module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from ..errors import Problem, WiringError, did_you_mean
from ..experiment import Evaluation, Experiment, Inherit, Inputs
from ..feature import Feature
from ..hooks import resolve
from ..taps import BATCH, Tap
from ..train import Evaluate
from ..wiring import address_of
from ._locator import Locator


def tap_problems(experiment: Experiment, locator: Locator) -> list[Problem]:
    """Return one problem for each tap that names no model, or a module that its model does not have."""
    problems = []
    for key, address in _taps(experiment):
        try:
            _find_module(Tap.parse(address), experiment.models)
        except WiringError as error:
            problems.append(locator.problem(key, error))
    return problems


def evaluations(experiment: Experiment) -> Iterator[tuple[str, str, Evaluation]]:
    """Yield the split, the key and the evaluation of each callback that evaluates, and of the test."""
    for index, callback in enumerate(experiment.callbacks):
        if isinstance(callback, Evaluate):
            yield callback.split, f"callbacks.{index}", callback.evaluation
    if experiment.test is not None:
        yield "test", "test", experiment.test


def _taps(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Yield the key and the address of each tap of losses, feeds and metrics."""
    for index, stage in enumerate(experiment.stages):
        if not isinstance(stage.losses, Inherit):
            for name, term in stage.losses.items():
                yield from _of_inputs(f"stages.{index}.losses.{name}.inputs", term.inputs)
        if not isinstance(stage.feed, Inherit):
            for name, inputs in (stage.feed or {}).items():
                yield from _of_inputs(f"stages.{index}.feed.{name}", inputs)
    for _, key, evaluation in evaluations(experiment):
        for name, metric in evaluation.metrics.items():
            yield from _of_inputs(f"{key}.metrics.{name}.inputs", metric.inputs)


def _of_inputs(key: str, inputs: Inputs) -> Iterator[tuple[str, str]]:
    for parameter, addresses in inputs.items():
        if isinstance(addresses, str | Feature):
            yield f"{key}.{parameter}", address_of(addresses)
        else:
            yield from ((f"{key}.{parameter}.{index}", address_of(address)) for index, address in enumerate(addresses))


def _find_module(tap: Tap, models: Mapping[str, nn.Module]) -> None:
    if tap.source == BATCH:
        return
    if tap.source not in models:
        message = f"'{tap}' names no model '{tap.source}'"
        raise WiringError(message, hint=did_you_mean(tap.source, [*models, BATCH]))
    resolve(models[tap.source], tap.path, tap.source)
