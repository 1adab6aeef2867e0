"""Taps of a document that name no model or no module."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..config import NodesByKey
from ..errors import Problem, WiringError, did_you_mean
from ..hooks import resolve
from ..taps import BATCH, Tap


def tap_problems(nodes: NodesByKey, models: Mapping[str, nn.Module]) -> list[Problem]:
    """Return one problem for each tap that names no model, or a module that its model does not have."""
    problems = []
    for key, node in nodes.taps():
        try:
            _find_module(Tap.parse(node.value), models)
        except WiringError as error:
            problems.append(nodes.problem_at(node, error, key))
    return problems


def _find_module(tap: Tap, models: Mapping[str, nn.Module]) -> None:
    if tap.source == BATCH:
        return
    if tap.source not in models:
        message = f"'{tap}' names no model '{tap.source}'\n  hint: {did_you_mean(tap.source, [*models, BATCH])}"
        raise WiringError(message)
    resolve(models[tap.source], tap.path, tap.source)
