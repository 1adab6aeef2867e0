"""The whole state of a run, and taking it up again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ...distributed import world_size
from ...errors import TrainingError
from ..parallel import load_whole, own_buffers, restore_own_buffers, whole
from ..step import LossMeter, restore_scheduler, scheduler_state, schedules_of
from ._changes import accept_changes, record_changes
from ._generators import generator_states, restore_generators

if TYPE_CHECKING:
    from .._trainer import Trainer

logger = logging.getLogger("distill")


def gather_state(trainer: Trainer) -> dict[str, Any]:
    """All that a run needs to go on from here; all processes ask for it together.

    Args:
        trainer: The run, inside a stage.
    """
    run = trainer.run
    if run is None:
        message = "a checkpoint can be written only while a stage runs"
        raise TrainingError(message)
    trainer.caches.flush()
    return {
        "identity": identity(trainer),
        "position": {
            "stage": trainer.stage_index,
            "epoch": trainer.epoch,
            "batch": trainer.batch,
            "step": trainer.step,
        },
        "models": {
            name: whole(trainer.models[name].state_dict())
            for name in [*trained_models(trainer), *trainer.averages.names]
        },
        "averages": whole(trainer.averages.state()),
        "losses": {name: loss.state_dict() for name, loss in _losses(trainer).items() if not _is_lazy(loss)},
        "of_processes": own_buffers(_losses(trainer), trainer.device),
        "frozen": run.frozen.state(),
        "generators": generator_states(trainer.device),
        "optimizer": run.update.state(),
        "scheduler": scheduler_state(run.scheduler),
        "scaler": trainer.accelerator.scaler.state_dict() if trainer.accelerator.scaler else None,
        "callbacks": [callback.state() for callback in trainer.experiment.callbacks],
        "measured": trainer.measured,
        "means": trainer.means.state(),
        "left_out": trainer.faults.state(),
    }


def restore_run(trainer: Trainer) -> dict[str, Any]:
    """Load the newest whole checkpoint: models, losses, callbacks and position; returns it for `restore_stage`.

    Raises:
        TrainingError: There is none, or it is of another experiment.
    """
    if trainer.store is None:
        message = "a run without a folder cannot be resumed"
        raise TrainingError(message)
    state, passed_over = trainer.store.newest_whole()
    for problem in passed_over:
        logger.warning("passed over: %s", problem)
    changes = accept_changes(state["identity"], identity(trainer), state["position"], change=trainer.accepts_changes)
    if changes and trainer.is_main and trainer.output:
        record_changes(trainer.output, changes, step=state["position"]["step"])
    for name, weights in state["models"].items():
        load_whole(trainer.models[name], weights)
    trainer.averages.load_state(state.get("averages", {}))
    trainer.learnt |= state["models"].keys() - set(trainer.averages.names)
    for name, loss in _losses(trainer).items():
        if name in state["losses"]:
            loss.load_state_dict(state["losses"][name])
    _restore_callbacks(trainer, state)
    trainer.measured = state["measured"]
    trainer.faults.load_state(state["left_out"])
    trainer.stage_index, trainer.step = state["position"]["stage"], state["position"]["step"]
    return state


def restore_stage(trainer: Trainer, state: dict[str, Any]) -> int:
    """Load optimizer and schedule into the stage that was interrupted; returns the epoch to go on with."""
    run = trainer.run
    if run is None:
        message = "a stage is restored while it runs"
        raise TrainingError(message)
    restore_own_buffers(_losses(trainer), state["of_processes"])
    run.frozen.load_state(state["frozen"])
    then, now = (one["schedules"][trainer.stage_index] for one in (state["identity"], identity(trainer)))
    restore_scheduler(run, state, is_changed=then != now)
    if trainer.accelerator.scaler:
        trainer.accelerator.scaler.load_state_dict(state["scaler"])
    trainer.batch = state["position"]["batch"]
    trainer.means = LossMeter(list(run.distiller.terms))
    trainer.means.load_state(state["means"], trainer.device)
    trainer.epoch = int(state["position"]["epoch"])
    restore_generators(state["generators"], trainer.device)
    return trainer.epoch + (trainer.batch == 0)


def identity(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for a run to be the same run."""
    loaders = [trainer.loader(stage) for stage in trainer.stages]
    return {
        "seed": trainer.experiment.seed,
        "precision": trainer.experiment.precision,
        "processes": world_size(),
        "parallel": trainer.experiment.parallel,
        "ema": dict(trainer.experiment.ema),
        "views": trainer.caches.views,
        "codecs": {name: codecs.given for name, codecs in trainer.caches.codecs.items()},
        "sources": {name: entry.precision for name, entry in trainer.experiment.sources.items()},
        "torch": torch.__version__.split("+")[0],
        "epochs": [stage.epochs for stage in trainer.stages],
        "schedules": schedules_of(trainer.stages, loaders),
        "callbacks": [type(callback).__name__ for callback in trainer.experiment.callbacks],
        "losses": [sorted(stage.losses) for stage in trainer.stages],  # type: ignore[arg-type]
        "accumulate": [stage.accumulate for stage in trainer.stages],
        "samples": [loader.samples_per_epoch for loader in loaders],
        "batch_size": [loader.batch_size for loader in loaders],
    }


def _restore_callbacks(trainer: Trainer, state: dict[str, Any]) -> None:
    """Give each callback what it remembered; where the list has changed, in the order of each class."""
    remembered = list(zip(state["identity"]["callbacks"], state["callbacks"], strict=True))
    for callback in trainer.experiment.callbacks:
        own = next((entry for entry in remembered if entry[0] == type(callback).__name__), None)
        if own is not None:
            remembered.remove(own)
            callback.load_state(own[1])


def trained_models(trainer: Trainer) -> list[str]:
    """The models that learn in this stage or have learnt in one before."""
    if trainer.run is not None:
        trainer.learnt |= {name.split(".")[0] for name in trainer.run.trainable} & set(trainer.models)
    return [name for name in trainer.models if name in trainer.learnt]


def _losses(trainer: Trainer) -> dict[str, nn.Module]:
    """Every loss module of all stages, once, by `stage.name`."""
    found: dict[str, nn.Module] = {}
    for number, stage in enumerate(trainer.stages):
        for name, term in stage.losses.items():  # type: ignore[union-attr]
            if isinstance(term.loss, nn.Module) and not any(term.loss is loss for loss in found.values()):
                found[f"{number}.{name}"] = term.loss
    return found


def _is_lazy(module: nn.Module) -> bool:
    return any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers()))
