"""One stage on the meta device: who learns, which tensors flow, whether each loss takes them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..config import NodesByKey
from ..data import Loader, SeedPath
from ..errors import DistillError, Problem, TrainingError, WiringError
from ..experiment import Stage, Term
from ..taps import Tap
from ..train import StageRun, batch_values, not_one_number, prepare_stage, stage_notes
from ..train.step import LossWatch, structures, with_lengths
from ..train.teachers import Caches, ModelSource
from ._depth import depth
from ._describe import describe_call, describe_inputs, describe_value, describe_weight
from ._partial_forward import as_far_as_it_goes
from ._record import Line, StagePlan
from ._shapes import by_shapes, needs_data


@dataclass
class StageCheck:
    """Prepares a stage as a run would, and sends a batch through its models and its losses.

    Attributes:
        models: All models, on the meta device.
        stage: The stage, nothing left out.
        number: Its number, from 0.
        num_stages: How many there are.
        batch: An example of its batches, on the meta device.
        nodes: Where things stand in the file.
        averages: Models that are averages of others.
        caches: The caches of frozen models.
        values: The tapped tensors so far.
        notes: What is odd, and what could not be checked.
        problems: What is wrong.
        ends: Model → the module after which it stops; empty for its end.
    """

    models: Mapping[str, nn.Module]
    stage: Stage
    number: int
    num_stages: int
    batch: Mapping[str, Any]
    nodes: NodesByKey
    averages: Collection[str] = ()
    caches: Caches | None = None
    values: dict[Tap, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)

    def run(self, loader: Loader | None, seed_path: SeedPath) -> tuple[StagePlan | None, list[Problem]]:
        """Return the plan, unless there are problems, and the problems.

        Args:
            loader: What the stage trains on; None if its length is not known without the data.
            place: Its first epoch.
        """
        run = self._prepared(loader)
        if run is None:
            return None if self.problems else self._plan(None, [], loader), self.problems
        try:
            self._run_models(run)
            if not self.problems:
                self.notes += stage_notes(run, self.models, f"stages.{self.number}", loader, seed_path)
                self._run_losses(run)
            if self.problems:
                return None, self.problems
            sources = run.distiller.sources
            depths = [depth(source, self.batch, self.values, self.ends.get(source.name, "")) for source in sources]
            return self._plan(run, depths, loader), []
        finally:
            run.end()

    def _prepared(self, loader: Loader | None) -> StageRun | None:
        prepare = functools.partial(
            prepare_stage, self.models, self.stage, self.number, loader or Loader([0], 1), lambda: self.batch,
            torch.device("meta"), self.averages, self.caches,
        )  # fmt: skip
        try:
            return by_shapes(prepare)
        except DistillError as error:
            self._problem(self._where(error), error)
        except Exception as error:  # noqa: BLE001 — a model may fail in a first batch
            if needs_data(error):
                self.notes.append("lazy parameters take their shapes from a batch with data: nothing was checked")
            else:
                message = f"initialising lazy parameters with a first batch failed: {_told(error)}"
                self._problem(f"stages.{self.number}", message)
        return None

    def _run_models(self, run: StageRun) -> None:
        for source in run.distiller.sources:
            try:
                self._run_model(source)
            except DistillError as error:
                self._problem(self._where(error), error)
                return
            except Exception as error:  # noqa: BLE001 — a model may fail in any way
                what = f"{source.name} ({type(source.model).__name__})"
                shapes = {name: describe_value(value)[0] for name, value in self.batch.items()}
                self._problem(f"models.{source.name}", f"{what} fails on a batch of {shapes}: {_told(error)}")
                return
        for name, wiring in run.distiller.wirings.items():
            try:
                self.values.update(batch_values(wiring.taps, self.batch, self.values))
            except DistillError as error:
                self._problem(self.nodes.of_stage(self.number, f"losses.{name}.inputs"), error)

    def _run_model(self, source: ModelSource) -> None:
        try:
            self.values.update(by_shapes(functools.partial(source, self.batch, self.values)))
            self.ends[source.name] = source.capture.last_module or ""
        except Exception as error:
            if not needs_data(error):
                raise
            reached, self.ends[source.name] = as_far_as_it_goes(source, self.batch, self.values)
            self.values.update(reached)
            missed = ", ".join(str(tap) for tap in source.taps if tap not in reached)
            if missed:
                what = f"{source.name} ({type(source.model).__name__})"
                self.notes.append(f"{what} cannot run to its end without data: what reads {missed} is not checked")

    def _run_losses(self, run: StageRun) -> None:
        watch = LossWatch(self.batch, run.distiller.terms)
        for name, term in run.distiller.terms.items():
            wiring = run.distiller.wirings[name]
            if all(tap in self.values for tap in wiring.taps):
                self._run_loss(name, term, wiring.kwargs(self.values), watch, structures(wiring, self.values))
        self.notes += watch.notes
        try:
            watch.refuse() if not self.problems else None
        except WiringError as error:
            self._problem(self.nodes.of_stage(self.number, "losses"), error)

    def _run_loss(self, name: str, term: Term, arguments: Mapping[str, Any], watch: LossWatch, structured: str) -> None:
        what, key = (
            f"losses.{name} ({type(term.loss).__name__})",
            self.nodes.of_stage(self.number, f"losses.{name}.inputs"),
        )
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                loss = by_shapes(functools.partial(watch, name, term.loss, arguments))
            self.notes += [f"{what} warns: {' '.join(str(warning.message).split())}" for warning in warned]
            if not isinstance(loss, Tensor) or loss.dim() != 0:
                self._problem(key, not_one_number(name, term, loss))
        except Exception as error:  # noqa: BLE001 — a loss may fail in any way
            if needs_data(error):
                self.notes.append(f"{what} cannot run without data: shapes were not checked")
            elif structured:
                self._problem(key, WiringError(structured))
            else:
                given = ", ".join(f"{parameter} {describe_value(value)[0]}" for parameter, value in arguments.items())
                hint = next((note.partition(": ")[2] for note in watch.notes if note.startswith(what)), "")
                message = f"{what} fails with {given}: {_told(error)}"
                self._problem(key, WiringError(f"{message}; {hint}") if hint else message)

    def _problem(self, key: str, error: str | DistillError) -> None:
        self.problems.append(self.nodes.problem(key, error))

    def _where(self, error: DistillError) -> str:
        """The key that the message begins with: `losses.kd`, `feed.student`, `stages.0.train`."""
        key = str(error).partition(":")[0] if isinstance(error, WiringError | TrainingError) else ""
        if key.startswith("stages.") and key.count(".") > 1:
            return self.nodes.of_stage(self.number, key.split(".", 2)[2])
        if key.startswith("losses."):
            return self.nodes.of_stage(self.number, f"{key}.inputs")
        return self.nodes.of_stage(self.number, key) if key.startswith("feed.") else f"stages.{self.number}"

    def _plan(self, run: StageRun | None, depths: list[Line], loader: Loader | None) -> StagePlan:
        stage, terms = self.stage, dict(self.stage.losses)  # type: ignore[arg-type]
        schedule: Any = stage.scheduler
        if schedule and run and (loader is not None or stage.scheduler_step == "epoch"):
            schedule = with_lengths(stage, run.num_steps, f"stages.{self.number}")
        scheduler = f", {describe_call(schedule)} each {stage.scheduler_step}" if schedule else ""
        calls = f"{describe_call(stage.optimizer)}{scheduler}"
        modules = {f"losses.{name}": term.loss for name, term in terms.items() if isinstance(term.loss, nn.Module)}
        parts = {**self.models, **modules} if run else {}
        return StagePlan(
            title=f"stage {self.number + 1}/{self.num_stages}: {stage.epochs} epochs, {calls}",
            losses=[
                (describe_weight(term.weight), name, _kind(term), describe_inputs(term.inputs))
                for name, term in terms.items()
            ],
            taps=[(str(tap), *describe_value(value)) for tap, value in self.values.items()],
            parts=[line for name, part in parts.items() if run and (line := _learns(name, part, run))],
            models=depths,
            notes=[" ".join(note.replace("\n  hint:", ";").split()) for note in self.notes],
        )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _kind(term: Term) -> str:
    return type(term.loss).__name__ + (" (apart)" if term.separate_gradient else "")


def _learns(name: str, part: nn.Module, run: StageRun) -> Line | None:
    learning = {id(parameter) for parameter in run.trainable.values()}
    parameters = list(part.parameters())
    count = sum(parameter.numel() for parameter in parameters if id(parameter) in learning)
    return (name, f"{count:,} of {sum(p.numel() for p in parameters):,} parameters") if parameters else None
