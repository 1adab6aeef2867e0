"""One stage on the meta device: who learns, which tensors flow, whether each loss takes them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..data import Loader
from ..errors import DistillError, Problem, WiringError
from ..experiment import Stage, Term
from ..hooks import module_names
from ..taps import Tap
from ..train._caches import Caches
from ..train._distiller import batch_values
from ..train._source import ModelSource
from ..train._stage_run import StageRun, prepare_stage
from ._partial import as_far_as_it_goes
from ._places import Places
from ._plan import Line, StagePlan, describe_call, describe_inputs, describe_value
from ._progress import describe_source, describe_weight

Values = dict[Tap, Any]
Result = TypeVar("Result")


def check_stage(
    models: Mapping[str, nn.Module],
    stage: Stage,
    number: int,
    num_stages: int,
    batch: Mapping[str, Any],
    places: Places,
    averages: Collection[str] = (),
    caches: Caches | None = None,
) -> tuple[StagePlan | None, list[Problem]]:
    """Prepare the stage as a run would, send the batch through its models and its losses.

    Args:
        models: All models, on the meta device.
        stage: The stage, nothing left out.
        number: Its number, from 0.
        num_stages: How many there are.
        batch: An example of its batches, on the meta device.
        places: Where things stand in the file.
        averages: Models that are averages of others.
        caches: The caches of frozen models.

    Returns:
        The plan, unless there are problems; the problems.
    """
    one_batch = Loader([0], 1)  # how many there are is not known without the data, and a schedule may need to know
    plain, meta = replace(stage, scheduler=None), torch.device("meta")
    try:
        run = _by_shapes(lambda: prepare_stage(models, plain, number, one_batch, lambda: batch, meta, averages, caches))
    except DistillError as error:
        return None, [places.problem(_where(error, number, places), error)]
    except Exception as error:  # noqa: BLE001 — lazy parameters take their shapes from a first batch, in which a model may fail
        message = f"a first batch, from which lazy parameters take their shapes, fails: {_told(error)}"
        return None, [places.problem(f"stages.{number}", message)]
    try:
        values, notes, problems = _run_models(run, batch, number, places)
        if not problems:
            problems = _run_losses(run, values, number, places, notes)
        depths = [] if problems else [_depth(source, batch, values) for source in run.distiller.sources]
        plan = None if problems else _plan(models, stage, number, num_stages, run, values, depths, notes)
    finally:
        run.end()
    return plan, problems


def _run_models(
    run: StageRun, batch: Mapping[str, Any], number: int, places: Places
) -> tuple[Values, list[str], list[Problem]]:
    values: Values = {}
    notes: list[str] = []
    for source in run.distiller.sources:
        what = f"{source.name} ({type(source.model).__name__})"
        try:
            values.update(_by_shapes(functools.partial(source, batch, values)))
        except DistillError as error:
            return values, notes, [places.problem(_where(error, number, places), error)]
        except Exception as error:  # noqa: BLE001 — a model may fail in any way
            if _needs_data(error):
                reached = as_far_as_it_goes(source, batch, values)
                values.update(reached)
                missed = ", ".join(str(tap) for tap in source.taps if tap not in reached)
                if missed:
                    notes.append(f"{what} cannot run to its end without data: what reads {missed} is not checked")
                continue
            shapes = {name: describe_value(value)[0] for name, value in batch.items()}
            message = f"{what} fails on a batch of {shapes}: {_told(error)}"
            return values, notes, [places.problem(f"models.{source.name}", message)]
    problems = []
    for name, wiring in run.distiller.wirings.items():
        try:
            values.update(batch_values(wiring.taps, batch, values))
        except DistillError as error:
            problems.append(places.problem(places.of_stage(number, f"losses.{name}.inputs"), error))
    return values, notes, problems


def _run_losses(run: StageRun, values: Values, number: int, places: Places, notes: list[str]) -> list[Problem]:
    problems = []
    for name, term in run.distiller.terms.items():
        wiring, what = run.distiller.wirings[name], f"losses.{name} ({type(term.loss).__name__})"
        if any(tap not in values for tap in wiring.taps):
            continue
        arguments = wiring.kwargs(values)
        message = ""
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                loss = term.loss(**arguments)
            notes += [f"{what} warns: {' '.join(str(warning.message).split())}" for warning in warned]
            if not isinstance(loss, Tensor) or loss.dim() != 0:
                message = f"{what} gives {' '.join(describe_value(loss))}, and a loss is one number"
        except Exception as error:  # noqa: BLE001 — a loss may fail in any way
            if _needs_data(error):
                notes.append(f"{what} cannot run without data: shapes were not checked")
            else:
                given = ", ".join(f"{key} {describe_value(value)[0]}" for key, value in arguments.items())
                message = f"{what} fails with {given}: {_told(error)}"
        if message:
            problems.append(places.problem(places.of_stage(number, f"losses.{name}.inputs"), message))
    return problems


def _by_shapes(run: Callable[[], Result]) -> Result:
    """What `run` gives on the meta device.

    Models of transformers look into their masks unless they are being compiled; then they go by shapes alone. (And do not
    stop early, so their operations are not counted.)
    """
    try:
        return run()
    except Exception as error:
        if not _needs_data(error):
            raise
    before = torch.compiler._is_compiling_flag  # noqa: SLF001  there is no public way to say so
    torch.compiler._is_compiling_flag = True  # noqa: SLF001
    try:
        return run()
    finally:
        torch.compiler._is_compiling_flag = before  # noqa: SLF001


def _needs_data(error: Exception) -> bool:
    """Whether something asked for a number where there are only shapes."""
    return "meta" in str(error).lower()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _where(error: DistillError, number: int, places: Places) -> str:
    """The key that the message begins with: `losses.kd`, `feed.student`, `stages.0.train`."""
    key = str(error).partition(":")[0] if isinstance(error, WiringError) else ""
    if key.startswith("stages."):
        return places.of_stage(number, key.split(".", 2)[2])
    if key.startswith("losses."):
        return places.of_stage(number, f"{key}.inputs")
    return places.of_stage(number, key) if key.startswith("feed.") else f"stages.{number}"


def _plan(
    models: Mapping[str, nn.Module],
    stage: Stage,
    number: int,
    num_stages: int,
    run: StageRun,
    values: Values,
    depths: list[Line],
    notes: list[str],
) -> StagePlan:
    terms = run.distiller.terms
    scheduler = f", {describe_call(stage.scheduler)} each {stage.scheduler_step}" if stage.scheduler else ""
    modules = {f"losses.{name}": term.loss for name, term in terms.items() if isinstance(term.loss, nn.Module)}
    return StagePlan(
        title=f"stage {number + 1}/{num_stages}: {stage.epochs} epochs, {describe_call(stage.optimizer)}{scheduler}",
        losses=[
            (describe_weight(term.weight), name, _kind(term), describe_inputs(term.inputs))
            for name, term in terms.items()
        ],
        taps=[(str(tap), *describe_value(value)) for tap, value in values.items()],
        parts=[line for name, part in {**models, **modules}.items() if (line := _learns(name, part, run))],
        models=depths,
        notes=notes,
    )


def _kind(term: Term) -> str:
    return type(term.loss).__name__ + (" (apart)" if term.apart else "")


def _learns(name: str, part: nn.Module, run: StageRun) -> Line | None:
    learning = {id(parameter) for parameter in run.trainable.values()}
    parameters = list(part.parameters())
    count = sum(parameter.numel() for parameter in parameters if id(parameter) in learning)
    return (name, f"{count:,} of {sum(p.numel() for p in parameters):,} parameters") if parameters else None


def _depth(source: ModelSource, batch: Mapping[str, Any], values: Values) -> Line:
    """How a model runs: whole, or frozen to the last module that is needed; and how much of its work that is."""
    if not source.frozen:
        return source.name, "with gradients"
    mode = f"in {'train' if source.model.training else 'eval'} mode {describe_source(source.settings)}".rstrip()
    names, last = module_names(source.model), source.capture.last_module
    whole, needed = (_flops(source, batch, values, stop_early=stop_early) for stop_early in (False, True))
    work = f", {_of(needed, whole)} a batch" if whole and needed else ""
    if not last or last not in names:
        return source.name, f"frozen, {mode}, to its end{work}"
    saved = f" ({1 - needed / whole:.0%} saved)" if work and needed < whole else ""
    end = f"to '{last}' (module {names.index(last) + 1} of {len(names)})"
    return source.name, f"frozen, {mode}, {end}{work}{saved}"


def _flops(source: ModelSource, batch: Mapping[str, Any], values: Values, *, stop_early: bool) -> int:
    """Floating-point operations of a forward; 0 if it cannot run without data."""
    before, source.capture.stop_early = source.capture.stop_early, stop_early
    try:
        with FlopCounterMode(display=False) as counter:
            source(batch, values)
        return int(counter.get_total_flops())
    except Exception:  # noqa: BLE001 — that it fails has been told already
        return 0
    finally:
        source.capture.stop_early = before


def _of(needed: int, whole: int) -> str:
    """Both in one unit.

    >>> _of(341_000_000, 1_002_000_000)
    '0.341 of 1 GFLOPs'
    """
    size, unit = next((pair for pair in ((1e9, "GFLOPs"), (1e6, "MFLOPs")) if whole >= pair[0]), (1, "FLOPs"))
    shown = [f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for number in (needed / size, whole / size)]
    return f"{shown[0]} of {shown[1]} {unit}"
