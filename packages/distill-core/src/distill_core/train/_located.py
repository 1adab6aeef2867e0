"""Notes on exceptions of callbacks and schedulers: which one failed, at which stage, epoch and step."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import torch

from ..distributed import is_distributed
from ..errors import DistillError, Problem
from ._stage_run import StageRun
from ._state import Run
from .callbacks import Callback
from .parallel import lost_another
from .step import RollBack, step_scheduler


class FailureNote(str):
    """A note that names the callable, stage, epoch and step of a failure, and the checkpoint to resume from."""

    __slots__ = ()


def call_each(run: Run, callbacks: Iterable[Callback], event: str, *arguments: Any) -> None:
    """Call a method of each callback."""
    for callback in callbacks:
        try:
            getattr(callback, event)(run, *arguments)
        except Exception as error:
            _note(run, callback, "", error)
            raise


def advance_scheduler(
    run: Run, stage_run: StageRun, each: Literal["epoch", "step"], count: int, loss: float | None = None
) -> None:
    """Advance the stage's scheduler, if it has one that advances after each epoch or step.

    Args:
        run: The run.
        stage_run: The stage.
        each: What has just ended.
        count: The number of them that have ended in this stage.
        loss: The epoch's mean training loss.
    """
    if stage_run.scheduler and stage_run.stage.scheduler_step == each:
        with located(run, stage_run.scheduler, f"stages.{run.state.stage}.scheduler"):
            step_scheduler(stage_run.stage, stage_run.scheduler, count, loss)


@contextlib.contextmanager
def located(run: Run, called: Any, name: str = "") -> Iterator[None]:
    """Add a `FailureNote` to an exception that is neither Distill's own nor the end of another process.

    Args:
        run: The run.
        called: What is called: a callback or a scheduler.
        name: Its key, if it is not a callback of the experiment.
    """
    try:
        yield
    except Exception as error:
        _note(run, called, name, error)
        raise


def _note(run: Run, called: Any, name: str, error: Exception) -> None:
    """Add a `FailureNote` to an exception, if it has none and its cause is what was called."""
    if isinstance(error, DistillError | RollBack | torch.OutOfMemoryError):
        return
    if failure_note(error) is None and not (is_distributed() and lost_another(error)):
        error.add_note(FailureNote(_describe(run, called, name, error)))


def failure_note(error: BaseException) -> FailureNote | None:
    """Return the note that was added to an exception, if any."""
    return next((note for note in getattr(error, "__notes__", ()) if isinstance(note, FailureNote)), None)


def _describe(run: Run, called: Any, name: str, error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    at = f"stage {run.state.stage + 1}, epoch {run.state.epoch}, step {run.state.step}"
    where = f"{_name(run, called, name)} failed in {at} ({Path(frame.filename).name}:{frame.lineno})"
    latest = run.store.name("latest") if run.store else None
    if run.store is None or latest is None:
        return str(Problem(where, hint="fix it and start again: no checkpoint exists yet"))
    hint = f"fix it and resume from {run.store.folder / latest} with --resume, and --change if the file has changed"
    return str(Problem(where, hint=hint))


def _name(run: Run, called: Any, name: str) -> str:
    kind = type(called).__name__
    indices = [index for index, callback in enumerate(run.experiment.callbacks) if callback is called]
    key = name or (f"callbacks.{indices[0]}" if indices else "")
    return f"{key} ({kind})" if key else kind
