"""The trainer of an experiment whose caches a command works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import WiringError
from ...experiment import CacheSettings
from ...train import Trainer
from .._load import build_experiment, load_document

if TYPE_CHECKING:
    from ...experiment import Experiment


def trainer_with_caches(file: Path, overrides: Sequence[str], trust: Sequence[str]) -> Trainer:
    """Return the trainer of an experiment that sets `cache`.

    Raises:
        ConfigError: The file has problems.
        WiringError: The file sets no `cache`.
    """
    experiment = build_experiment(load_document(file, overrides, trust), trust)
    if not experiment.cache:
        message = f"{file} sets no `cache`"
        raise WiringError(message, hint="add `cache: {teacher: {folder: DIR, views: 1}}`")
    return Trainer(experiment)


def trainer_for_plan(file: Path, overrides: Sequence[str], trust: Sequence[str]) -> Trainer:
    """Return the trainer of an experiment, with a cache for each teacher if the file sets none.

    Raises:
        ConfigError: The file has problems.
    """
    experiment = build_experiment(load_document(file, overrides, trust), trust)
    return Trainer(experiment if experiment.cache else _with_caches(experiment))


def _with_caches(experiment: Experiment) -> Experiment:
    teachers = [name for name in experiment.models if name.startswith("teacher")]
    settings = CacheSettings(folder="cache", views=experiment.views or 1)
    return replace(experiment, cache=dict.fromkeys(teachers, settings))
