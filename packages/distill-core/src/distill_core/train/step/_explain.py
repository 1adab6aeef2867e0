"""Exceptions of a training step, replaced by errors with a hint where the cause is known."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...data import Loader, SeedPath, Stream
from ...distributed import rank, world_size
from ...errors import DataError, DistillError, Problem, TrainingError, WiringError
from ...taps import Tap, field_names
from ...wiring import Wiring
from .._distiller import Distiller
from ._loss_watch import LossWatch

logger = logging.getLogger("distill")

ONE_SAMPLE = "set `drop_last: true`, or another batch_size"


@contextlib.contextmanager
def explained_step(
    distiller: Distiller, batch: Mapping[str, Any], num_samples: int, *, is_watched: bool, is_full: bool
) -> Iterator[None]:
    """Wrap the forward of a step: replace an exception whose cause is known, and warn of a suspicious first step.

    Args:
        distiller: Models and losses.
        batch: The batch.
        num_samples: Its number of samples.
        is_watched: Whether the losses are called under a `LossWatch`.
        is_full: Whether no other batch has more samples.

    Raises:
        TrainingError: BatchNorm got one value to normalise.
        DataError: A model of float32 was fed with float64.
        WiringError: A loss got a structure, a layout or a label that it does not accept, or no loss has a gradient.
    """
    watch = distiller.watch = LossWatch(batch, distiller.terms, is_full=is_full) if is_watched else None
    try:
        yield
    except Exception as error:
        explain(distiller, batch, num_samples, error, watch)
        raise
    finally:
        distiller.watch = None
    if watch:
        watch.refuse()
        for note in watch.notes if rank() == 0 else ():
            logger.warning("%s", note)


def explain(
    distiller: Distiller, batch: Mapping[str, Any], num_samples: int, error: Exception, watch: LossWatch | None = None
) -> None:
    """Raise an error with a hint instead of one without, if the cause is known.

    Args:
        distiller: Models and losses.
        batch: The batch.
        num_samples: Its number of samples.
        error: The exception of the step.
        watch: The watch under which the losses were called, if any.

    Raises:
        TrainingError, DataError, WiringError: See `explained_step`.
    """
    if isinstance(error, DistillError):
        return
    if num_samples == 1 and isinstance(error, ValueError) and (names := batch_norms(distiller)):
        message = f"a batch of one sample cannot be normalised by BatchNorm in {', '.join(names)}: {error}"
        raise TrainingError(message, hint=ONE_SAMPLE) from error
    if watch:
        watch.refuse()
    if watch and watch.notes:
        note = watch.notes[-1]
        raise WiringError(note.message, key=note.key, hint=note.hint) from error
    distiller.watch = None
    try:
        with torch.no_grad():
            values = distiller.tapped(batch)
    except Exception as of_model:  # noqa: BLE001 — a model fails, not a loss
        if message := _double(distiller, batch):
            message = f"{message}: {of_model}"
            raise DataError(message, hint="convert it in the dataset") from error
        return
    for name, wiring in distiller.wirings.items():
        loss = distiller.terms[name].loss
        if problem := structures(wiring, values) or _label(wiring, loss, values):
            _refuse_if_it_fails(loss, wiring.kwargs(values), problem, error)


def _double(distiller: Distiller, batch: Mapping[str, Any]) -> str:
    """Return a message that names a float64 field (NumPy's default) if no model has float64 weights; empty otherwise."""
    kinds = {each.dtype for source in distiller.sources for each in source.model.parameters()}
    fields = [name for name, value in batch.items() if isinstance(value, Tensor) and value.dtype == torch.float64]
    return f"batch.{fields[0]} is float64, which no model is" if fields and torch.float64 not in kinds else ""


def _label(wiring: Wiring, loss: Any, values: Mapping[Tap, Any]) -> Problem | None:
    """Return a problem that names a label outside of the classes of the logits; None otherwise."""
    given = wiring.kwargs(values)
    target, logits = given.get("target"), given.get("input", given.get("student"))
    if not isinstance(target, Tensor) or not isinstance(logits, Tensor) or target.is_floating_point():
        return None
    dims = [dim for dim in (1, -1) if logits.dim() > 1 and target.shape == logits.select(dim, 0).shape]
    if not dims:
        return None
    num_classes, ignored = logits.shape[dims[0]], getattr(loss, "ignore_index", -100)
    outside = target[((target < 0) | (target >= num_classes)) & (target != ignored)]
    if outside.numel() == 0:
        return None
    message = (
        f"`target` has the label {int(outside[0])}, but the logits have {num_classes} classes, 0 to {num_classes - 1}"
    )
    return Problem(message, key=wiring.where)


def _refuse_if_it_fails(loss: Any, arguments: Mapping[str, Any], problem: Problem, error: Exception) -> None:
    try:
        with torch.no_grad():
            loss(**arguments)
    except Exception:  # noqa: BLE001 — this is the loss that failed
        raise WiringError(problem.message, key=problem.key, hint=problem.hint) from error


def structures(wiring: Wiring, values: Mapping[Tap, Any]) -> Problem | None:
    """Return a problem that names an input that is a mapping or dataclass, and its fields; None otherwise."""
    for tap in wiring.taps:
        value = values[tap]
        if isinstance(value, Mapping) or is_dataclass(value):
            names = field_names(value)
            message = f"'{tap}' is a {type(value).__name__}, not a tensor; it has the fields "
            message += ", ".join(map(repr, names)) or "of nothing"
            return Problem(message, key=wiring.where, hint=_field_hint(tap, value, names))
    return None


def _field_hint(tap: Tap, value: Any, names: list[str]) -> str:
    tensors = [name for name in names if isinstance(_field(value, name), torch.Tensor)]
    chosen = next((name for name in ("logits", "out") if name in tensors), tensors[0] if tensors else "")
    if not chosen:
        return ""
    try:
        return f"tap one of them, '{Tap(tap.source, tap.path, tap.port, (*tap.fields, chosen))}' for example"
    except WiringError:  # not a name that an address can hold
        return ""


def _field(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def batch_norms(distiller: Distiller) -> list[str]:
    """Return the models and losses in which a BatchNorm normalises by the batch: `'student'`, `losses.fitnet`."""
    models = {f"'{source.name}'": source.model for source in distiller.sources}
    losses = {f"losses.{name}": term.loss for name, term in distiller.terms.items()}
    return [
        name
        for name, part in {**models, **losses}.items()
        if isinstance(part, nn.Module) and any(map(_is_active, part.modules()))
    ]


def _is_active(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and (module.training or not module.track_running_stats)


def one_sample_note(distiller: Distiller, loader: Loader, seed_path: SeedPath, key: str) -> Problem | None:
    """Return a note if a batch has one sample and BatchNorm normalises by the batch; None otherwise.

    Args:
        distiller: Models and losses, their modes set.
        loader: The loader of the stage.
        seed_path: The first epoch of the stage.
        key: The key of the stage, `stages.0`.
    """
    if not (names := batch_norms(distiller)):
        return None
    plan = loader.plan(seed_path, even=True)
    plan = plan.pick(range(1)) if isinstance(loader, Stream) else plan  # its batches have one size
    sizes = [size // world_size() for size in plan.global_sizes]
    if 1 not in sizes:
        return None
    which = "the last batch" if sizes.index(1) == len(sizes) - 1 else "a batch"
    message = f"{which} has one sample, from which BatchNorm in {', '.join(names)} gets poor statistics or none"
    return Problem(message, key=key, hint=ONE_SAMPLE)
