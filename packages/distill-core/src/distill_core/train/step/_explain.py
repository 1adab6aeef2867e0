"""Say what to do about an exception of a training step that torch or a loss raises without saying so."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...data import Loader, SeedPath
from ...distributed import rank, world_size
from ...errors import DataError, DistillError, Problem, TrainingError, WiringError
from ...taps import Tap, field_names
from ...wiring import Wiring
from ._loss_watch import LossWatch

if TYPE_CHECKING:
    from .._stage import StageRun

logger = logging.getLogger("distill")

ONE_SAMPLE = "set `drop_last: true`, or another batch_size"


@contextlib.contextmanager
def explained_step(run: StageRun, batch: Mapping[str, Any], num_samples: int) -> Iterator[None]:
    """Around the forward of a step: say what is known of the reason if it fails, and what is odd about the first one.

    Args:
        run: The stage.
        batch: The batch.
        num_samples: How many samples it has.

    Raises:
        TrainingError: BatchNorm got one value to normalise.
        DataError: A model of float32 was fed with float64.
        WiringError: A loss got a structure, a layout or a label that it does not take, or no loss can teach anything.
    """
    watch = run.distiller.watch = LossWatch(batch, run.distiller.terms) if run.is_watched else None
    try:
        yield
    except Exception as error:
        if not isinstance(error, DistillError):
            _explain(run, batch, num_samples, watch, error)
        raise
    finally:
        run.distiller.watch, run.is_watched = None, False
    if watch:
        watch.refuse()
        for note in watch.notes if rank() == 0 else ():
            logger.warning("%s", note)


def _explain(
    run: StageRun, batch: Mapping[str, Any], num_samples: int, watch: LossWatch | None, error: Exception
) -> None:
    """Raise an error with a remedy in the place of one that has none, if the reason is known."""
    if num_samples == 1 and isinstance(error, ValueError) and (names := batch_norms(run)):
        message = f"a batch of one sample cannot be normalised by BatchNorm in {', '.join(names)}: {error}"
        raise TrainingError(str(Problem(message, hint=ONE_SAMPLE))) from error
    if watch:
        watch.refuse()
    if watch and watch.notes:
        raise WiringError(watch.notes[-1]) from error
    run.distiller.watch = None
    try:
        with torch.no_grad():
            values = run.distiller.tapped(batch)
    except Exception as of_model:  # noqa: BLE001 — a model fails, not a loss
        if message := _double(run, batch):
            message = f"{message}: {of_model}"
            raise DataError(str(Problem(message, hint="convert it in the dataset"))) from error
        return
    for name, wiring in run.distiller.wirings.items():
        loss = run.distiller.terms[name].loss
        if message := structures(wiring, values) or _label(wiring, loss, values):
            _refuse_if_it_fails(loss, wiring.kwargs(values), message, error)


def _double(run: StageRun, batch: Mapping[str, Any]) -> str:
    """Name a field of float64, as NumPy makes it, where no model has weights of float64; empty if there is none."""
    kinds = {each.dtype for source in run.distiller.sources for each in source.model.parameters()}
    fields = [name for name, value in batch.items() if isinstance(value, Tensor) and value.dtype == torch.float64]
    return f"batch.{fields[0]} is float64, which no model is" if fields and torch.float64 not in kinds else ""


def _label(wiring: Wiring, loss: Any, values: Mapping[Tap, Any]) -> str:
    """Name a label beyond the classes of the logits; empty if there is none."""
    given = wiring.kwargs(values)
    target, logits = given.get("target"), given.get("input", given.get("student"))
    if not isinstance(target, Tensor) or not isinstance(logits, Tensor) or target.is_floating_point():
        return ""
    dims = [dim for dim in (1, -1) if logits.dim() > 1 and target.shape == logits.select(dim, 0).shape]
    if not dims:
        return ""
    num_classes, ignored = logits.shape[dims[0]], getattr(loss, "ignore_index", -100)
    outside = target[((target < 0) | (target >= num_classes)) & (target != ignored)]
    if outside.numel() == 0:
        return ""
    return f"{wiring.where}: `target` has the label {int(outside[0])}, but the logits have {num_classes} classes, 0 to {num_classes - 1}"


def _refuse_if_it_fails(loss: Any, arguments: Mapping[str, Any], message: str, error: Exception) -> None:
    try:
        with torch.no_grad():
            loss(**arguments)
    except Exception:  # noqa: BLE001 — this is the loss that failed
        raise WiringError(message) from error


def structures(wiring: Wiring, values: Mapping[Tap, Any]) -> str:
    """Name the inputs that are mappings or dataclasses, and their fields; empty if there is none."""
    for tap in wiring.taps:
        value = values[tap]
        if isinstance(value, Mapping) or is_dataclass(value):
            names = field_names(value)
            message = f"{wiring.where}: '{tap}' is a {type(value).__name__}, not a tensor; it has the fields "
            message += ", ".join(map(repr, names)) or "of nothing"
            return str(Problem(message, hint=_field_hint(tap, value, names)))
    return ""


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


def batch_norms(run: StageRun) -> list[str]:
    """The models and losses in which a BatchNorm normalises by the batch: `'student'`, `losses.fitnet`."""
    models = {f"'{source.name}'": source.model for source in run.distiller.sources}
    losses = {f"losses.{name}": term.loss for name, term in run.distiller.terms.items()}
    return [
        name
        for name, part in {**models, **losses}.items()
        if isinstance(part, nn.Module) and any(map(_is_active, part.modules()))
    ]


def _is_active(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and (module.training or not module.track_running_stats)


def one_sample_note(run: StageRun, loader: Loader, seed_path: SeedPath) -> str:
    """Say that a batch has one sample where BatchNorm normalises by the batch; empty if that is not so.

    Args:
        run: The stage, with its modes set.
        loader: What it trains on.
        place: Its first epoch.
    """
    if not (names := batch_norms(run)):
        return ""
    sizes = [size // world_size() for size in loader.plan(seed_path, even=True).global_sizes]
    if 1 not in sizes:
        return ""
    which = "the last batch" if sizes.index(1) == len(sizes) - 1 else "a batch"
    message = f"{which} has one sample, of which BatchNorm in {', '.join(names)} makes poor statistics or none"
    return str(Problem(message, hint=ONE_SAMPLE))
