"""Checks that the tensors of a model are finite before they are measured or saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...distributed import sum_over_processes
from ...errors import TrainingError
from ..parallel import local
from ..step import shorten
from ._resume import trained_models

if TYPE_CHECKING:
    from .._trainer import Trainer


def not_finite(modules: Mapping[str, nn.Module]) -> list[str]:
    """Return the names, `model.tensor`, of parameters and buffers with a number that is not finite on some process.

    All processes must ask together.

    Args:
        modules: Modules by name, the same on every process.
    """
    tensors = {f"{name}.{key}": local(value) for name, module in modules.items() for key, value in _named(module)}
    if not tensors:
        return []
    device = next(iter(tensors.values())).device
    bad = torch.stack([~value.isfinite().all().to(device, non_blocking=True) for value in tensors.values()])
    counts = sum_over_processes(bad.float()).tolist()
    return [name for name, count in zip(tensors, counts, strict=True) if count]


def prove_finite(trainer: Trainer) -> None:
    """Check every model that learns, its average, and the losses of the stage.

    Raises:
        TrainingError: A tensor that was finite at the start is not finite any more.
    """
    bad = [name for name in not_finite(_checked(trainer)) if name not in trainer.faults.never_finite]
    if not bad:
        return
    kept = trainer.store.name("latest") if trainer.store else None
    message = f"stage {trainer.stage_index}, epoch {trainer.epoch}, step {trainer.step}: not finite: {shorten(bad, 6)}"
    hint = "a lower learning rate or clip_grad_norm" + (f"; the last good checkpoint is {kept}" if kept else "")
    message += f"; nothing of it is saved\n  hint: {hint}"
    raise TrainingError(message)


def begin_finite(trainer: Trainer) -> None:
    """Prepare a stage: note its tensors that are never finite (masks of -inf), write the first checkpoint to roll back to.

    Raises:
        TrainingError: The run is to roll back and has no folder.
    """
    trainer.faults.never_finite.update(not_finite(_checked(trainer)))
    if trainer.faults.needs_checkpoint(trainer.store):
        trainer.save()


def _checked(trainer: Trainer) -> dict[str, nn.Module]:
    names = [*trained_models(trainer), *trainer.averages.names]
    losses = {"losses": trainer.run.distiller.losses} if trainer.run is not None else {}
    return {**{name: trainer.models[name] for name in names}, **losses}


def _named(module: nn.Module) -> list[tuple[str, Tensor]]:
    both = [*module.named_parameters(), *module.named_buffers()]
    return [(name, value.detach()) for name, value in both if value.is_floating_point() and not value.is_meta]
