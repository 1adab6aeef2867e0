"""What the checkpoints of a run contain: the complete state, gathered and restored."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ...data import Loader, SeedPath, Stream
from ...distributed import rank, world_size
from ...errors import TrainingError
from ...experiment import Experiment, SourceSettings
from ...weights import MAX_SHOWN, mismatches
from .._resolved_stage import ResolvedStage
from .._stage_run import StageRun
from .._state import RunState
from ..parallel import is_sharded, load_unsharded, own_buffers, restore_own_buffers, weights_of
from ..step import EMA, LossMeter, NonfinitePolicy, schedules_of
from ..teachers import Caches
from ._changes import accept_changes, record_changes
from ._generators import generator_states, restore_generators
from ._scheduler_state import restore_scheduler, scheduler_state
from ._store import CheckpointStore

logger = logging.getLogger("distill")


class RunCheckpoints:
    """The checkpoints of a run.

    Args:
        experiment: The experiment.
        stages: Its stages.
        models: All models by name, with their EMA copies.
        ema: The EMA copies.
        caches: The caches of frozen models.
        nonfinite: Remembers the skipped batches.
        scaler: The loss scaler of fp16, if any.
        device: Device of this process.
        output: The run's folder, if any.

    Attributes:
        store: The files; None without a folder.
    """

    def __init__(
        self,
        experiment: Experiment,
        stages: Sequence[ResolvedStage],
        models: Mapping[str, nn.Module],
        *,
        ema: EMA,
        caches: Caches,
        nonfinite: NonfinitePolicy,
        scaler: Any,
        device: torch.device,
        output: Path | None,
    ) -> None:
        self.experiment, self.stages, self.models = experiment, stages, models
        self.ema, self.caches, self.nonfinite = ema, caches, nonfinite
        self.scaler, self.device, self.output = scaler, device, output
        self.store = CheckpointStore(output / "checkpoints") if output else None

    def trained_models(self, state: RunState) -> dict[str, nn.Module]:
        """Return the models that learn or have learnt, and the EMA copies."""
        names = [*(name for name in self.models if name in state.learnt), *self.ema.names]
        return {name: self.models[name] for name in names}

    def begin_stage(self, state: RunState, run: StageRun) -> bool:
        """Prepare a stage; return whether a checkpoint must be written before its first step."""
        self.nonfinite.begin_stage(self._checked(state, run))
        return self.nonfinite.needs_checkpoint(self.store)

    def verify_finite(self, state: RunState, run: StageRun | None = None) -> None:
        """Verify that the trained models, and the losses of the current stage, are finite.

        Raises:
            TrainingError: A tensor is not finite any more.
        """
        self.nonfinite.verify_modules(self._checked(state, run), state, self.store)

    def write(self, state: RunState, run: StageRun | None, meter: LossMeter, *, best: bool) -> None:
        """Start to write a checkpoint, unless a tensor is not finite. A collective operation.

        The main process writes it. Of sharded models, each process writes its shards.

        Args:
            state: The state of the run.
            run: The current stage.
            meter: The means of its losses.
            best: Whether it becomes the best checkpoint.
        """
        self.verify_finite(state, run)
        content = self.gather(state, run, meter)
        sharded = any(is_sharded(model) for model in self.trained_models(state).values())
        if self.store is not None and (sharded or rank() == 0):
            self.store.write(f"step-{state.step:08d}", content, best=best, is_sharded=sharded)

    def wait(self) -> None:
        """Wait until what this process writes of the last checkpoint is on disk.

        Raises:
            TrainingError: It cannot be written.
        """
        if self.store is not None:
            self.store.wait()

    @contextlib.contextmanager
    def finished(self) -> Iterator[None]:
        """Finish the last checkpoint when a run ends by an exception; log it if that fails."""
        try:
            yield
        except BaseException:
            try:
                self.wait()
            except Exception as error:  # noqa: BLE001  the exception of the run is raised
                logger.error("%s", error)
            raise

    def _checked(self, state: RunState, run: StageRun | None) -> dict[str, nn.Module]:
        losses: dict[str, nn.Module] = {"losses": run.distiller.losses} if run is not None else {}
        return {**self.trained_models(state), **losses}

    def gather(self, state: RunState, run: StageRun | None, meter: LossMeter) -> dict[str, Any]:
        """Return everything that a run needs to continue from here. A collective operation.

        Args:
            state: The state of the run.
            run: The current stage.
            meter: The means of its losses.
        """
        if run is None:
            message = "a checkpoint can be written only while a stage runs"
            raise TrainingError(message)
        self.caches.flush()
        losses = _losses(self.stages)
        return {
            "identity": self.identity(),
            "run": state.state(),
            "models": {name: weights_of(model) for name, model in self.trained_models(state).items()},
            "ema": self.ema.state(),
            "losses": {name: loss.state_dict() for name, loss in losses.items() if not _is_lazy(loss)},
            "rank_buffers": own_buffers(losses, self.device),
            "frozen": run.frozen.state(),
            "generators": generator_states(self.device),
            "optimizer": run.update.state(),
            "scheduler": scheduler_state(run.scheduler),
            "scaler": self.scaler.state_dict() if self.scaler else None,
            "stream": run.loader.state(state.batch) if isinstance(run.loader, Stream) else None,
            "callbacks": [callback.state() for callback in self.experiment.callbacks],
            "loss_meter": meter.state(),
            "skipped": self.nonfinite.state(),
        }

    def restore_run(self, *, change: bool) -> tuple[RunState, dict[str, Any]]:
        """Load models, losses and callbacks from the newest intact checkpoint.

        Args:
            change: Whether to accept changes of the experiment that do not concern what was trained so far.

        Returns:
            The state of the run, and the content of the checkpoint for `restore_stage`.

        Raises:
            TrainingError: No checkpoint exists, or it is of another experiment or of models with other tensors.
        """
        if self.store is None:
            message = "a run without a folder cannot be resumed"
            raise TrainingError(message)
        saved, damaged = self.store.newest_intact()
        for problem in damaged:
            logger.warning("skipped a damaged checkpoint: %s", problem)
        state = RunState()
        state.load_state(saved["run"])
        changes = accept_changes(saved["identity"], self.identity(), saved["run"], change=change)
        if changes and rank() == 0 and self.output:
            record_changes(self.output, changes, step=state.step)
        for name, weights in saved["models"].items():
            _refuse_misfit(name, self.models[name], weights)
            load_unsharded(self.models[name], weights)
        self.ema.load_state(saved["ema"])
        for name, loss in _losses(self.stages).items():
            if name in saved["losses"]:
                loss.load_state_dict(saved["losses"][name])
        _restore_callbacks(self.experiment.callbacks, saved)
        self.nonfinite.load_state(saved["skipped"])
        return state, saved

    def restore_stage(self, saved: Mapping[str, Any], state: RunState, run: StageRun) -> LossMeter:
        """Load optimizer, scheduler and generators into the stage that was interrupted; return its loss meter.

        Args:
            saved: The content of the checkpoint.
            state: The state of the run in the checkpoint.
            run: The stage.
        """
        self._refuse_processes(saved["identity"]["processes"], run)
        restore_own_buffers(_losses(self.stages), saved["rank_buffers"])
        run.frozen.load_state(saved["frozen"])
        if isinstance(run.loader, Stream):
            run.loader.load_state(saved["stream"], SeedPath(self.experiment.seed, state.stage))
        old, new = (identity["schedules"][state.stage] for identity in (saved["identity"], self.identity()))
        restore_scheduler(run, saved, state, is_changed=old != new)
        if self.scaler:
            self.scaler.load_state_dict(saved["scaler"])
        meter = LossMeter(list(run.distiller.terms))
        meter.load_state(saved["loss_meter"], self.device)
        restore_generators(saved["generators"], self.device)
        return meter

    def _refuse_processes(self, processes: int, run: StageRun) -> None:
        """Refuse another number of processes where each process has a state that cannot be divided anew."""
        what = "a stream" if isinstance(run.loader, Stream) else "the state of `parallel: deepspeed`"
        if processes != world_size() and (isinstance(run.loader, Stream) or self.experiment.parallel == "deepspeed"):
            message = f"{what} cannot be continued by {world_size()} processes"
            raise TrainingError(message, hint=f"resume with {processes} processes")

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide whether a run is the same run."""
        experiment = self.experiment
        loaders = [stage.loader(experiment) for stage in self.stages]
        return {
            "seed": experiment.seed,
            "precision": experiment.precision,
            "processes": world_size(),
            "parallel": experiment.parallel,
            "ema": dict(experiment.ema),
            "views": self.caches.views,
            "codecs": {name: codecs.given for name, codecs in self.caches.codecs.items()},
            "sources": {name: _source_text(entry) for name, entry in experiment.sources.items()},
            "torch": torch.__version__.split("+")[0],
            "epochs": [stage.epochs for stage in self.stages],
            "steps": [stage.steps for stage in self.stages],
            "schedules": schedules_of(self.stages, loaders),
            "callbacks": [type(callback).__name__ for callback in experiment.callbacks],
            "losses": [sorted(stage.losses) for stage in self.stages],
            "accumulate": [stage.accumulate for stage in self.stages],
            "samples": [_num_samples(loader) for loader in loaders],
            "batch_size": [loader.batch_size * world_size() for loader in loaders],
        }


def _source_text(settings: SourceSettings) -> str | None:
    return f"{settings.precision} {settings.input_text}" if settings.input_text else settings.precision


def _num_samples(loader: Loader) -> int | None:
    return None if isinstance(loader, Stream) else loader.samples_per_epoch


def _restore_callbacks(callbacks: Sequence[Any], saved: Mapping[str, Any]) -> None:
    """Restore the state of each callback; if the list has changed, in the order of each class."""
    states = list(zip(saved["identity"]["callbacks"], saved["callbacks"], strict=True))
    for callback in callbacks:
        entry = next((entry for entry in states if entry[0] == type(callback).__name__), None)
        if entry is not None:
            states.remove(entry)
            callback.load_state(entry[1])


def _losses(stages: Sequence[ResolvedStage]) -> dict[str, nn.Module]:
    """Return every loss module of all stages, once, by `stage.name`."""
    losses: dict[str, nn.Module] = {}
    for index, stage in enumerate(stages):
        for name, term in stage.losses.items():
            if isinstance(term.loss, nn.Module) and not any(term.loss is loss for loss in losses.values()):
                losses[f"{index}.{name}"] = term.loss
    return losses


def _is_lazy(module: nn.Module) -> bool:
    return any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers()))


def _refuse_misfit(name: str, model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    if wrong := mismatches(weights, model.state_dict()):
        shown = "\n  ".join(wrong[:MAX_SHOWN])
        message = f"the checkpoint does not fit the model '{name}':\n  {shown}"
        raise TrainingError(message, hint="resume with the code and the packages of the interrupted run")
