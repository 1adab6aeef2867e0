"""One stage on the meta device: what it trains, which tensors flow, whether each loss accepts them."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..data import Loader, SeedPath
from ..errors import DistillError, Problem, WiringError
from ..experiment import Term
from ..taps import Tap
from ..train import ResolvedStage, StageRun, batch_values, not_one_number, prepare_stage, stage_notes
from ..train.step import LossWatch, structures, with_lengths
from ..train.teachers import Caches, ModelSource
from ..tree import tensors
from ._depth import depth
from ._describe import describe_call, describe_value
from ._locator import Locator
from ._partial_forward import as_far_as_it_goes
from ._record import ForwardPreview, StagePreview, TapPreview, TermPreview, TrainablePreview
from ._shapes import by_shapes, needs_data


@dataclass
class StageCheck:
    """Prepares a stage as a run does, and sends a batch through its models and losses.

    Attributes:
        models: All models, on the meta device.
        stage: The stage, without omitted fields.
        index: Its index.
        batch: An example of its batches, on the meta device.
        locator: Creates the problems.
        averages: Models that are averages of others.
        caches: The caches of frozen models.
        values: The tapped tensors so far.
        notes: What could not be checked, and what the run will warn about.
        problems: What is wrong.
        ends: Model → the module after which it stops; empty for its end.
    """

    models: Mapping[str, nn.Module]
    stage: ResolvedStage
    index: int
    batch: Mapping[str, Any]
    locator: Locator
    averages: Collection[str] = ()
    caches: Caches | None = None
    values: dict[Tap, Any] = field(default_factory=dict)
    notes: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The key of the stage."""
        return f"stages.{self.index}"

    def run(self, data: Any, loader: Loader | None, seed_path: SeedPath) -> StagePreview | None:
        """Return the preview, or None if there are problems.

        Args:
            data: The data of the stage: a loader, or a function that is not called.
            loader: The training loader; None if its length is not known without the data.
            seed_path: The stage's first epoch.
        """
        run = self._prepared(data, loader)
        if run is None:
            return None if self.problems else self._preview()
        try:
            self._run_models(run)
            if not self.problems:
                self.notes += stage_notes(run, self.models, self.key, loader, seed_path)
                self._run_losses(run)
            if self.problems:
                return None
            sources = run.distiller.sources
            depths = [depth(source, self.batch, self.values, self.ends.get(source.name, "")) for source in sources]
            return self._preview(run, depths, has_length=loader is not None)
        finally:
            run.end()

    def _prepared(self, data: Any, loader: Loader | None) -> StageRun | None:
        prepare = functools.partial(
            prepare_stage, self.models, self.stage, self.index, loader, lambda: self.batch,
            torch.device("meta"), self.averages, self.caches, data=data,
        )  # fmt: skip
        try:
            return by_shapes(prepare)
        except DistillError as error:
            self._problem(self._key_of(error), error)
        except Exception as error:  # noqa: BLE001 - a model may raise anything for a first batch
            if needs_data(error):
                self._note(self.key, "lazy parameters take their shapes from a batch with data: nothing was checked")
            else:
                self._problem(self.key, f"initialising lazy parameters with a first batch failed: {_text(error)}")
        return None

    def _run_models(self, run: StageRun) -> None:
        for source in run.distiller.sources:
            try:
                self._run_model(source)
            except DistillError as error:
                self._problem(self._key_of(error), error)
                return
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                subject = f"{source.name} ({type(source.model).__name__})"
                shapes = {name: describe_value(value)[0] for name, value in self.batch.items()}
                self._problem(f"models.{source.name}", f"{subject} fails on a batch of {shapes}: {_text(error)}")
                return
        for name, wiring in run.distiller.wirings.items():
            try:
                self.values.update(batch_values(wiring.taps, self.batch, self.values))
            except DistillError as error:
                self._problem(self._loss_key(name), error)

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
                subject = f"{source.name} ({type(source.model).__name__})"
                self._note("", f"{subject} cannot run to its end without data: what reads {missed} is not checked")

    def _run_losses(self, run: StageRun) -> None:
        sizes = [len(tensor) for tensor in tensors(self.batch) if tensor.dim()]
        is_full = run.loader is None or max(sizes, default=0) >= run.loader.batch_size
        watch = LossWatch(self.batch, run.distiller.terms, is_full=is_full)
        for name, term in run.distiller.terms.items():
            wiring = run.distiller.wirings[name]
            if all(tap in self.values for tap in wiring.taps):
                self._run_loss(name, term, wiring.kwargs(self.values), watch, structures(wiring, self.values))
        self.notes += watch.notes
        try:
            watch.refuse() if not self.problems else None
        except WiringError as error:
            self._problem(self.locator.stage_key(self.index, "losses"), error)

    def _run_loss(
        self, name: str, term: Term, arguments: Mapping[str, Any], watch: LossWatch, structured: Problem | None
    ) -> None:
        subject, key = f"losses.{name} ({type(term.loss).__name__})", self._loss_key(name)
        try:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                loss = by_shapes(functools.partial(watch, name, term.loss, arguments))
            for warning in warned:
                self._note(subject, f"warning: {' '.join(str(warning.message).split())}")
            if not isinstance(loss, Tensor) or loss.dim() != 0:
                self._problem(key, not_one_number(name, term, loss))
            elif problem := watch.degenerate.get(name):
                self._problem(key, problem)
        except Exception as error:  # noqa: BLE001 - a loss may raise anything
            if needs_data(error):
                self._note(subject, "cannot run without data: shapes were not checked")
            elif structured:
                self._problem(key, structured)
            else:
                given = ", ".join(f"{parameter} {describe_value(value)[0]}" for parameter, value in arguments.items())
                message = f"{subject} fails with {given}: {_text(error)}"
                note = next((note for note in watch.notes if note.key == subject), None)
                self._problem(key, Problem(f"{message}; {note.message}", hint=note.hint) if note else message)

    def _problem(self, key: str, error: str | Problem | DistillError) -> None:
        self.problems.append(self.locator.problem(key, error))

    def _note(self, key: str, message: str) -> None:
        self.notes.append(Problem(message, key=key))

    def _loss_key(self, name: str) -> str:
        return self.locator.stage_key(self.index, f"losses.{name}.inputs")

    def _key_of(self, error: DistillError) -> str:
        """Return the key of an error: `losses.kd` and `feed.student` belong to the stage."""
        key = error.key
        if key.startswith("stages.") and key.count(".") > 1:
            return self.locator.stage_key(self.index, key.split(".", 2)[2])
        if key.startswith("losses."):
            return self.locator.stage_key(self.index, f"{key}.inputs")
        return self.locator.stage_key(self.index, key) if key.startswith("feed.") else self.key

    def _preview(
        self, run: StageRun | None = None, depths: Collection[ForwardPreview] = (), *, has_length: bool = False
    ) -> StagePreview:
        stage: Any = self.stage
        schedule = stage.scheduler
        if schedule and run and (has_length or stage.steps or stage.scheduler_step == "epoch"):
            schedule = with_lengths(stage, run.num_steps, self.key)
        modules = {f"losses.{name}": term.loss for name, term in stage.losses.items()}
        return StagePreview(
            index=self.index,
            epochs=stage.epochs,
            steps=stage.steps,
            optimizer=describe_call(stage.optimizer),
            scheduler=describe_call(schedule) if schedule else "",
            scheduler_step=stage.scheduler_step,
            terms=[_term(name, term) for name, term in stage.losses.items()],
            taps=[_tap(tap, value) for tap, value in self.values.items()],
            trainable=_trainable({**self.models, **modules}, run) if run else (),
            forwards=tuple(depths),
            notes=tuple(self.notes),
        )


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _term(name: str, term: Term) -> TermPreview:
    return TermPreview(
        name=name,
        loss=type(term.loss).__name__,
        weight=term.weight if isinstance(term.weight, int | float) else type(term.weight).__name__,
        inputs=term.inputs,
        separate_gradient=term.separate_gradient,
    )


def _tap(tap: Tap, value: Any) -> TapPreview:
    shape, dtype = describe_value(value)
    return TapPreview(tap=str(tap), shape=shape, dtype=dtype)


def _trainable(parts: Mapping[str, Callable[..., Any]], run: StageRun) -> list[TrainablePreview]:
    """Return the parameters of each model and loss that has some."""
    trained = {id(parameter) for parameter in run.trainable.values()}
    found = []
    for name, part in parts.items():
        parameters = list(part.parameters()) if isinstance(part, nn.Module) else []
        if parameters:
            num_trainable = sum(parameter.numel() for parameter in parameters if id(parameter) in trained)
            total = sum(parameter.numel() for parameter in parameters)
            found.append(TrainablePreview(name=name, num_trainable=num_trainable, num_parameters=total))
    return found
