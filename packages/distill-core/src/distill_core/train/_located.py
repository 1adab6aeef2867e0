"""Where a run was when a callback or scheduler raised, as a note on the exception."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..distributed import is_distributed
from ..errors import DistillError
from .callbacks import Callback
from .parallel import lost_another
from .step import RollBack, step_scheduler

if TYPE_CHECKING:
    from ._trainer import Trainer


class Location(str):
    """A note that names the callable, stage, epoch and step of a failure, and the checkpoint to go on from."""

    __slots__ = ()


def call_each(trainer: Trainer, callbacks: Iterable[Callback], event: str, *arguments: Any) -> None:
    """Call a method of each callback."""
    for callback in callbacks:
        with located(trainer, callback):
            getattr(callback, event)(trainer, *arguments)


def advance_scheduler(trainer: Trainer, each: Literal["epoch", "step"], count: int, loss: float | None = None) -> None:
    """Advance the stage's scheduler, if it has one that advances at such times.

    Args:
        trainer: The run.
        each: What has just ended.
        count: How many of them have ended in this stage.
        loss: The epoch's mean training loss.
    """
    run = trainer.run
    if run is not None and run.scheduler and run.stage.scheduler_step == each:
        with located(trainer, run.scheduler):
            step_scheduler(run.stage, run.scheduler, count, loss)


@contextlib.contextmanager
def located(trainer: Trainer, called: Any) -> Iterator[None]:
    """Add a `Location` to an exception that is neither Distill's own nor the end of another process."""
    try:
        yield
    except (DistillError, RollBack, torch.OutOfMemoryError):
        raise
    except Exception as error:
        is_told = any(isinstance(note, Location) for note in getattr(error, "__notes__", ()))
        if not is_told and not (is_distributed() and lost_another(error)):
            error.add_note(Location(_location(trainer, called, error)))
        raise


def location_of(error: BaseException) -> Location | None:
    """Return the location that was noted on an exception, if any."""
    return next((note for note in getattr(error, "__notes__", ()) if isinstance(note, Location)), None)


def _location(trainer: Trainer, called: Any, error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    at = f"stage {trainer.stage_index + 1}, epoch {trainer.epoch}, step {trainer.step}"
    where = f"{_name(trainer, called)} failed in {at} ({Path(frame.filename).name}:{frame.lineno})"
    latest = trainer.store.name("latest") if trainer.store else None
    if trainer.store is None or latest is None:
        return f"{where}\n  hint: correct it and begin again: there is no checkpoint yet"
    folder = trainer.store.folder / latest
    return f"{where}\n  hint: correct it and go on from {folder} with --resume, and --change if the file has changed"


def _name(trainer: Trainer, called: Any) -> str:
    if trainer.run is not None and called is trainer.run.scheduler:
        return f"stages.{trainer.stage_index}.scheduler ({type(called).__name__})"
    numbers = [number for number, callback in enumerate(trainer.experiment.callbacks) if callback is called]
    return f"callbacks.{numbers[0]} ({type(called).__name__})" if numbers else type(called).__name__
