"""Checks of a run before training, and its models on their devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..experiment import Experiment
from ._label_order import check_label_order
from ._readers import check_readers
from ._resolved_stage import ResolvedStage
from ._run_context import make_deterministic
from .parallel import shard_models, sharded_names
from .step import refuse_uncounted_processes, schedules_of
from .teachers import place_models


def set_up(
    models: Mapping[str, nn.Module],
    experiment: Experiment,
    stages: Sequence[ResolvedStage],
    device: torch.device,
) -> None:
    """Check data, labels and schedule lengths, and move the models to their devices.

    Args:
        models: All models by name, with their EMA copies.
        experiment: The experiment.
        stages: Its stages.
        device: Device of this process.

    Raises:
        DistillError: A check failed.
    """
    if experiment.deterministic:
        make_deterministic()
    check_label_order(models, experiment, stages)
    check_readers(models, experiment, stages)
    schedules_of(stages, [stage.loader(experiment) for stage in stages])  # refuses lengths that do not match
    place_models(models, experiment, stages, device)
    if experiment.parallel == "fsdp":
        shard_models(models, sharded_names(experiment, models), device)
    refuse_uncounted_processes(stages, experiment)
