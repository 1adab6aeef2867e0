"""A first batch of each evaluation before training, so that a metric that does not fit is refused then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..data import Loader, SeedPath, Stream, as_loader, preserve_rng_state
from ..experiment import Evaluation, Experiment, Inputs
from ._evaluation import measuring
from ._resolved_stage import ResolvedStage
from .callbacks import Evaluate
from .parallel import is_sharded

NUM_SAMPLES = 2
"""Number of samples that are read; they fill a batch."""


def check_evaluations(
    models: Mapping[str, nn.Module], experiment: Experiment, stages: Sequence[ResolvedStage], device: torch.device
) -> None:
    """Update the metrics of each evaluation with a batch of a few samples.

    Streams, which may be read once only, and models that are lazy or sharded are not checked. No random number is drawn.

    Args:
        models: All models by name, on their devices.
        experiment: The experiment.
        stages: Its stages.
        device: Device of this process.

    Raises:
        TrainingError: A metric cannot measure the batch.
        WiringError: A tap or a parameter does not exist.
    """
    if not stages or any(_is_unready(model) for model in models.values()):
        return
    feeds = [(each.evaluation, stages[0].feed) for each in experiment.callbacks if isinstance(each, Evaluate)]
    feeds += [(experiment.test, stages[-1].feed)] if experiment.test is not None else []
    with preserve_rng_state(device=device):
        for evaluation, feed in feeds:
            _check(models, evaluation, feed, device)


def _check(
    models: Mapping[str, nn.Module], evaluation: Evaluation, feed: Mapping[str, Inputs] | None, device: torch.device
) -> None:
    loader = as_loader(evaluation.loader)
    if isinstance(loader, Stream) or not loader.plan(SeedPath()).indices:
        return
    batch = _first_batch(loader)
    if batch is None:
        return
    with measuring(models, evaluation, feed, device) as (_, measure):
        measure(batch, True)
    for entry in evaluation.metrics.values():
        entry.metric.reset()


def _first_batch(loader: Loader) -> dict[str, Any] | None:
    """Return a batch of a few samples; None if one cannot be read, and reading all of them replaces such samples."""
    try:
        return loader.preview_batch(SeedPath(), NUM_SAMPLES)
    except Exception:
        if loader.bad_samples is None:
            raise
        return None


def _is_unready(model: nn.Module) -> bool:
    return is_sharded(model) or any(map(is_lazy, chain(model.parameters(), model.buffers())))
