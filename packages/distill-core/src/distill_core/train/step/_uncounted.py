"""Terms whose batches, accumulated or of several processes, are not one large batch: refused or noted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ...data import SeedPath
from ...distributed import world_size
from ...errors import TrainingError
from ...experiment import Stage
from ...taps import BATCH, Tap
from ...wiring import Wiring
from ._normaliser import averages_elements, kind_of, normaliser

if TYPE_CHECKING:
    from .._trainer import Trainer


def refuse_uncounted(stage: Stage, number: int, *, uneven: bool = False) -> None:
    """Refuse a term that is accumulated although nobody says what it averages over.

    Args:
        stage: The stage, nothing left out.
        number: Its number, from 0.
        uneven: Whether several processes have batches of different sizes.

    Raises:
        TrainingError: There is such a term.
        WiringError: `averages_over` of a term is malformed.
    """
    for name, term in stage.losses.items():  # type: ignore[union-attr]
        accumulated = int(stage.accumulate) > 1 or uneven  # type: ignore[arg-type]
        if (accumulated or term.averages_over is not None) and normaliser(name, term).unit == "unknown":
            several = f"accumulate is {stage.accumulate}" if not uneven else "processes have batches of different sizes"
            message = f"stages.{number}.losses.{name}: {kind_of(term.loss)} does not declare what it averages over, and {several}: batches cannot be weighted\n  hint: `averages_over: samples` (or `sum`, or the tap of a mask) of the term; a class of your own declares it (`reduction_scope`, `count`; see distill_core.losses)"
            raise TrainingError(message)


def cut_notes(stage: Stage, processes: int = 1) -> list[str]:
    """Say which terms compare the samples of a batch, so that their value depends on how an update is cut.

    Args:
        stage: The stage, nothing left out.
        processes: How many there are.
    """
    found = []
    accumulate = int(stage.accumulate)  # type: ignore[arg-type]
    for name, term in stage.losses.items() if accumulate > 1 or processes > 1 else ():  # type: ignore[union-attr]
        entry = normaliser(name, term)
        if entry.unit == "unknown":
            found.append(
                f"losses.{name}: {kind_of(term.loss)} does not declare what it averages over, so each of {processes} processes "
                "counts the same (`averages_over: samples` of the term says that this is right)"
            )
        if entry.local or (entry.depends_on_batch and accumulate > 1):
            parts = f"{accumulate} accumulated batches" if accumulate > 1 else f"the batches of {processes} processes"
            found.append(
                f"losses.{name}: {kind_of(term.loss)} depends on all samples of a batch, so {parts} are not one large "
                "batch (`averages_over: samples` of the term says that this is meant)"
            )
    return found


def padding_notes(stage: Stage, dataset: object, processes: int = 1) -> list[str]:
    """Say which terms may average over padding, so that their value depends on how an update is cut.

    Args:
        stage: The stage, nothing left out.
        dataset: What it trains on. Samples have different sizes if its `lengths` differ; it has a target for each token if
            it has `num_tokens`.
        processes: How many there are.
    """
    lengths = getattr(dataset, "lengths", None)
    if int(stage.accumulate) * processes == 1 or not isinstance(lengths, Tensor) or bool((lengths == lengths[0]).all()):  # type: ignore[arg-type]
        return []
    found = []
    for name, term in stage.losses.items():  # type: ignore[union-attr]
        inner = [tap for tap in Wiring(term.inputs, f"losses.{name}").taps if _has_tokens(tap, dataset)]
        if inner and averages_elements(name, term):
            found.append(
                f"losses.{name}: {kind_of(term.loss)} averages over all elements of '{inner[0]}'; where these are tokens, "
                "padding counts, too, and the update depends on how samples share batches (a loss with a `mask` avoids this)"
            )
    return found


def _has_tokens(tap: Tap, dataset: object) -> bool:
    """Whether the value of a tap is one of each token, as far as is known before it is there."""
    is_hidden = bool(tap.path) or any("hidden" in str(field) for field in tap.fields)
    return tap.source != BATCH and (is_hidden or hasattr(dataset, "num_tokens"))


def refuse_uncounted_processes(trainer: Trainer) -> None:
    """Refuse the same in a run of several processes whose batches differ in size.

    Raises:
        TrainingError: There is such a term.
    """
    for number, stage in enumerate(trainer.stages) if world_size() > 1 else ():
        plan = trainer.loader(stage).plan(SeedPath(trainer.experiment.seed, number), even=True)
        sizes = zip(plan.indices, plan.global_sizes, strict=True)
        refuse_uncounted(stage, number, uneven=any(len(own) * world_size() != size for own, size in sizes))
