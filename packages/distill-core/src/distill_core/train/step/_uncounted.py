"""Terms for which several batches (accumulated, or of several processes) differ from one large batch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...data import SeedPath, Stream
from ...distributed import world_size
from ...errors import Problem, TrainingError
from ...experiment import Experiment
from ...taps import BATCH, Tap
from ...wiring import Wiring
from .._resolved_stage import ResolvedStage
from ._normaliser import averages_elements, kind_of, normaliser

_INTENDED = "set `averages_over: samples` of the term if this is intended"


def refuse_uncounted(stage: ResolvedStage, index: int, *, uneven: bool = False) -> None:
    """Refuse a term that is accumulated although what it averages over is unknown.

    Args:
        stage: The stage.
        index: Its index.
        uneven: Whether several processes have batches of different sizes.

    Raises:
        TrainingError: Such a term exists.
        WiringError: `averages_over` of a term is malformed.
    """
    for name, term in stage.losses.items():
        accumulated = stage.accumulate > 1 or uneven
        if (accumulated or term.averages_over is not None) and normaliser(name, term).unit == "unknown":
            several = f"accumulate is {stage.accumulate}" if not uneven else "processes have batches of different sizes"
            message = (
                f"{kind_of(term.loss)} does not declare what it averages over, and {several}: "
                "batches cannot be weighted"
            )
            hint = (
                "set `averages_over: samples` (or `sum`, or the tap of a mask) of the term; a class of yours declares it "
                "(`reduction_scope`, `count`; see distill_core.losses)"
            )
            raise TrainingError(message, key=f"stages.{index}.losses.{name}", hint=hint)


def cut_notes(stage: ResolvedStage, processes: int = 1) -> list[Problem]:
    """Return notes on terms that compare the samples of a batch: their value depends on how an update is split.

    Args:
        stage: The stage.
        processes: Number of processes.
    """
    notes = []
    accumulate = stage.accumulate
    for name, term in stage.losses.items() if accumulate > 1 or processes > 1 else ():
        entry = normaliser(name, term)
        if entry.unit == "unknown":
            message = (
                f"{kind_of(term.loss)} does not declare what it averages over, so each of {processes} processes "
                "counts the same"
            )
            notes.append(Problem(message, key=f"losses.{name}", hint=_INTENDED))
        if entry.local or (entry.depends_on_batch and accumulate > 1):
            parts = f"{accumulate} accumulated batches" if accumulate > 1 else f"the batches of {processes} processes"
            message = f"{kind_of(term.loss)} depends on all samples of a batch, so {parts} are not one large batch"
            notes.append(Problem(message, key=f"losses.{name}", hint=_INTENDED))
    return notes


def padding_notes(stage: ResolvedStage, dataset: object, processes: int = 1) -> list[Problem]:
    """Return notes on terms that may average over padding: their value depends on how an update is split.

    Args:
        stage: The stage.
        dataset: The dataset of the stage. Samples have different sizes if its `lengths` differ; it has a target for each
            token if it has `num_tokens`.
        processes: Number of processes.
    """
    lengths = getattr(dataset, "lengths", None)
    if stage.accumulate * processes == 1 or not isinstance(lengths, Tensor) or bool((lengths == lengths[0]).all()):
        return []
    notes = []
    for name, term in stage.losses.items():
        inner = [tap for tap in Wiring(term.inputs, f"losses.{name}").taps if _has_tokens(tap, dataset)]
        if inner and averages_elements(name, term):
            message = (
                f"{kind_of(term.loss)} averages over all elements of '{inner[0]}'; where these are tokens, padding "
                "counts too, and the update depends on how samples share batches"
            )
            notes.append(Problem(message, key=f"losses.{name}", hint="use a loss that takes a `mask`"))
    return notes


def _has_tokens(tap: Tap, dataset: object) -> bool:
    """Return whether a tap has one value for each token, as far as is known before a batch has run."""
    is_hidden = bool(tap.path) or any("hidden" in str(field) for field in tap.fields)
    return tap.source != BATCH and (is_hidden or hasattr(dataset, "num_tokens"))


def refuse_uncounted_processes(stages: Sequence[ResolvedStage], experiment: Experiment) -> None:
    """Refuse the same in a run of several processes whose batches differ in size.

    Args:
        stages: The stages of the run.
        experiment: The experiment.

    Raises:
        TrainingError: Such a term exists.
    """
    for index, stage in enumerate(stages) if world_size() > 1 else ():
        loader = stage.loader(experiment)
        plan = loader.plan(SeedPath(experiment.seed, index), even=True)
        if isinstance(loader, Stream):  # its batches have one size
            plan = plan.pick(range(1))
        sizes = zip(plan.indices, plan.global_sizes, strict=True)
        refuse_uncounted(stage, index, uneven=any(len(own) * world_size() != size for own, size in sizes))
