"""Checks of a run before training, and its models on their devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..errors import TrainingError
from ..experiment import DDPSettings, Experiment, FSDPSettings
from ._readers import check_readers
from ._resolved_stage import ResolvedStage
from ._run_context import make_deterministic
from .parallel import shard_models, sharded_names
from .step import refuse_uncounted_processes, schedules_of
from .teachers import may_learn, place_models


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
    check_readers(models, experiment, stages)
    schedules_of(stages, [stage.loader(experiment) for stage in stages])  # refuses lengths that do not match
    sharded = sharded_names(experiment, models)
    _refuse_sharding(experiment, stages, sharded)
    place_models(models, experiment, stages, device)
    shard_models(models, sharded, device, experiment.fsdp)
    refuse_uncounted_processes(stages, experiment)


def _refuse_sharding(experiment: Experiment, stages: Sequence[ResolvedStage], sharded: Sequence[str]) -> None:
    """Refuse settings of sharded models without such models, and sharded models where the run does not support them."""
    if experiment.fsdp != FSDPSettings() and not sharded:
        message = "it sets how models are sharded, and no model is"
        raise TrainingError(message, key="fsdp", hint="set `parallel: fsdp`, or name the models in `shard`")
    if experiment.parallel == "deepspeed" and experiment.ddp != DDPSettings():
        message = "it sets how gradients of replicated models are averaged, which DeepSpeed shards"
        raise TrainingError(message, key="ddp", hint="set `parallel: ddp`, or omit `ddp`")
    if experiment.parallel == "deepspeed" and sharded:
        message = "`parallel: deepspeed` replicates every model"
        raise TrainingError(message, key="shard", hint="set `parallel: fsdp`, or omit `shard`")
    terms = [term for stage in stages for term in stage.losses.values()]
    if any(term.separate_gradient for term in terms):
        for name in sharded:
            if any(may_learn(name, stage) for stage in stages):
                message = f"`separate_gradient: true` keeps two gradients, and '{name}' is sharded while it learns"
                raise TrainingError(message, key="shard", hint="shard frozen models only")
