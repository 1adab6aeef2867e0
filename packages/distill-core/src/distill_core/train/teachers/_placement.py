"""Models on their devices; of a plain chain only the modules that the run needs."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ...distributed import world_size
from ...errors import WiringError
from ...experiment import Evaluation, Experiment
from ...hooks import head, resolve
from ...taps import Tap
from ...weights import deferred_weights
from ...wiring import Wiring
from .._resolved_stage import ResolvedStage
from ..callbacks import Evaluate
from ..parallel import fill_buffers, read_deferred, sharded_names


def place_models(
    models: Mapping[str, nn.Module], experiment: Experiment, stages: Sequence[ResolvedStage], device: torch.device
) -> None:
    """Move every model to the device.

    A frozen plain chain of which all stages and measurements tap modules inside is moved up to the last of them: what
    comes behind never runs, and stays where it is.

    Args:
        models: All models by name, with the averages.
        experiment: The experiment.
        stages: Its stages.
        device: The device.
    """
    taps = [tap for wiring in wirings(experiment, stages) for tap in wiring.taps]
    modes: list[Any] = [stage.modes or {} for stage in stages]
    whole = {name for each in modes for name in each} | set(experiment.ema)
    sharded = sharded_names(experiment, models)
    for name, model in models.items():
        if deferred_weights(model) is not None and name in sharded and world_size() > 1:
            fill_buffers(name, model, device)
            continue  # the rest is read shard by shard
        read_deferred({name: model}, device)
        needed = [tap for tap in taps if tap.source == name]
        stays = name not in whole and name not in sharded and not any(may_learn(name, each) for each in stages)
        part = _needed(model, needed) if stays else model
        part.to(device)
        if experiment.channels_last:
            part.to(memory_format=torch.channels_last)


def wirings(experiment: Experiment, stages: Sequence[ResolvedStage]) -> Iterable[Wiring]:
    """Yield every wiring of a run: of losses, feeds and metrics."""
    evaluations: list[Any] = [each.evaluation for each in experiment.callbacks if isinstance(each, Evaluate)]
    evaluations += [experiment.test] if isinstance(experiment.test, Evaluation) else []
    for stage in stages:
        terms: Any = stage.losses
        yield from (Wiring(term.inputs, f"losses.{name}") for name, term in terms.items())
        yield from (Wiring(inputs, f"feed.{name}") for name, inputs in stage.feed.items())
    for evaluation in evaluations:
        yield from (Wiring(inputs, f"feed.{name}") for name, inputs in (evaluation.feed or {}).items())
        yield from (Wiring(entry.inputs, f"metrics.{name}") for name, entry in evaluation.metrics.items())


def may_learn(name: str, stage: ResolvedStage) -> bool:
    """Return whether a stage trains parameters of the model."""
    patterns: Any = stage.train
    if not patterns:
        return not name.startswith("teacher")
    return any(fnmatch.fnmatchcase(name, pattern.split(".")[0]) for pattern in patterns)


def _needed(model: nn.Module, taps: Sequence[Tap]) -> nn.Module:
    """Return the head of a frozen model that the taps need; the complete model without taps."""
    if not taps or any(tap.port in ("outs", "ins") for tap in taps):
        return model
    try:
        return head(model, [resolve(model, tap.path) for tap in taps])
    except WiringError:  # reported when the stage starts: an earlier stage may create the module
        return model
