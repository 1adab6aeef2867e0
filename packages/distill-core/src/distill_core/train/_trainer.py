"""One loop for every run: stages, epochs, steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from torch import nn

from ..data import BatchPlan, Loader, SeedPath, as_loader, batch_seeds, derive_seed, seed_everything, seed_torch
from ..distributed import rank
from ..errors import TrainingError
from ..experiment import Evaluation, Experiment, Stage
from ..layers import checks_on_every_device
from ..tree import channels_last, to_device
from ._ahead import shared_batches
from ._evaluation import evaluate
from ._label_order import check_label_order
from ._lazy import first_batch
from ._located import advance_scheduler, call_each
from ._readers import check_readers
from ._results import finish
from ._run_context import explained, held, make_deterministic
from ._stage import StageRun, connect, prepare_stage, resolved_stages
from ._stage_notes import tell_stage_notes
from .callbacks import Callback, Checkpoint, MetricsLog
from .checkpoints import CheckpointStore, begin_finite, gather_state, prove_finite, restore_run, restore_stage
from .parallel import StopRequest, same_buffers, shard_models, sharded_names
from .step import (
    EMA,
    LossMeter,
    LossScale,
    NonfinitePolicy,
    RollBack,
    explained_step,
    refuse_uncounted_processes,
    schedules_of,
    shared_backward,
    tell_without_gradient,
)
from .teachers import Caches, place_models

_PRECISION = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}


class Trainer:
    """Runs an experiment.

    Args:
        experiment: What to run.
        output: The run's folder: metrics, checkpoints, results and the student; nothing is written if left out.
        callbacks: More callbacks, after those of the experiment.

    Attributes:
        models: All models by name.
        stage, stage_index, num_stages: The stage at hand, its number from 0, how many there are.
        epoch: The epoch of the stage, from 1.
        batch: Batches of this epoch that are done.
        step: Optimizer steps since the run began.
        steps_per_epoch: Optimizer steps in an epoch of this stage.
        measured: Split → metrics measured at the end of this epoch.
        is_main: Whether this process logs and writes.
        device: Where this process computes.
    """

    def __init__(
        self, experiment: Experiment, *, output: Path | None = None, callbacks: Sequence[Callback] = ()
    ) -> None:
        self.experiment = experiment
        self.output = output
        self.models: dict[str, nn.Module] = dict(experiment.models)
        self.stages = resolved_stages(experiment)
        self.num_stages = len(self.stages)
        self.stage: Stage = self.stages[0]
        self.stage_index = self.epoch = self.batch = self.step = self.steps_per_epoch = 0
        self.measured: dict[str, dict[str, float]] = {}
        self.learnt: set[str] = set()
        self.store = CheckpointStore(output / "checkpoints") if output else None
        self.caches = Caches(experiment)
        self.callbacks: list[Callback] = [self.caches, *experiment.callbacks, *callbacks]
        if output:
            output.mkdir(parents=True, exist_ok=True)
            self.callbacks.append(MetricsLog(output / "metrics.jsonl"))
            if not any(isinstance(callback, Checkpoint) for callback in self.callbacks):
                self.callbacks.append(Checkpoint())
        self.callbacks.sort(key=lambda callback: isinstance(callback, Checkpoint))  # it saves what the others remember
        if AcceleratorState._shared_state:  # noqa: SLF001  a run before this one may have had another precision
            AcceleratorState._reset_state()  # noqa: SLF001
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # otherwise several processes on a CPU do not find each other
            mixed_precision=_PRECISION[experiment.precision],
            kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=experiment.timeout))],
        )
        self.device = torch.device(self.accelerator.device)
        self.run: StageRun | None = None
        self.means = LossMeter([])
        self.averages = EMA(self.models, experiment.ema)
        self.accepts_changes = False
        self.faults = NonfinitePolicy(experiment.nonfinite, experiment.max_nonfinite)
        self._stop = StopRequest()
        self._each_step = [c for c in self.callbacks if type(c).on_step_end is not Callback.on_step_end]
        self.plan = BatchPlan([], [])
        self.seeds: list[int] = []
        self._logged_at = 0.0

    @property
    def is_main(self) -> bool:
        """Whether this process logs and writes."""
        return bool(self.accelerator.is_main_process)

    def fit(self, *, resume: bool = False, change: bool = False) -> dict[str, Any]:
        """Train all stages, then test; returns what `results.json` holds.

        Args:
            resume: Go on from the newest checkpoint in the run's folder.
            change: Accept changes that do not concern what was trained so far.

        Raises:
            TrainingError: The run cannot start, go on or be resumed.
        """
        self.accepts_changes = change
        with held(self.output if self.is_main else None), self._stop, explained():
            return self._fit(resume=resume)

    def _fit(self, *, resume: bool) -> dict[str, Any]:
        start = time.monotonic()
        if self.experiment.deterministic:
            make_deterministic()
        check_label_order(self.models, self.experiment, self.stages)
        check_readers(self.models, self.experiment, self.stages)
        schedules_of(self.stages, map(self.loader, self.stages))  # refuses a length that does not fit
        place_models(self.models, self.experiment, self.stages, self.device)
        if self.experiment.parallel == "fsdp":
            shard_models(self.models, sharded_names(self.experiment, self.models), self.device)
        refuse_uncounted_processes(self)
        restored = restore_run(self) if resume else None
        self._each("on_fit_start")
        index = self.stage_index
        while index < self.num_stages:
            self.stage_index = index
            try:
                self._fit_stage(restored)
                restored, index = None, index + 1
            except RollBack:
                restored = restore_run(self)
                index = self.stage_index
        results = finish(self, time.monotonic() - start)
        if self.is_main:
            self._each("on_fit_end", results)
        return results

    def evaluate(self, evaluation: Evaluation) -> dict[str, float]:
        """The metrics of the models as they are now."""
        same_buffers(self)
        with self.accelerator.autocast():
            return evaluate(self.models, evaluation, self.stage.feed, self.device)  # type: ignore[arg-type]

    def save(self, *, best: bool = False) -> None:
        """Write a checkpoint of this moment, if the run has a folder; never one with numbers that are not finite."""
        if self.store is None:
            return
        if self.run is not None and self.run.update.has_bad():
            self._log_training(self.run)  # acts on what was withheld
        same_buffers(self)
        prove_finite(self)
        state = gather_state(self)
        if self.is_main:
            self.store.write(f"step-{self.step:08d}", state, best=best)
        self.accelerator.wait_for_everyone()

    def log(self, record: dict[str, Any]) -> None:
        """Hand a record to the callbacks, with stage, epoch and step added."""
        if self.is_main:
            self._each("on_log", {"stage": self.stage_index, "epoch": self.epoch, "step": self.step, **record})

    def _fit_stage(self, restored: dict[str, Any] | None) -> None:
        self.stage = stage = self.stages[self.stage_index]
        loader = self.loader(stage)
        start = SeedPath(self.experiment.seed, self.stage_index)
        seed_everything(derive_seed(start.seed, start.stage))
        run = prepare_stage(
            self.models,
            stage,
            self.stage_index,
            loader,
            lambda: self.moved(first_batch(loader, start)),
            self.device,
            self.averages.names,
            self.caches,
            seed=start.seed,
        )
        self.averages.make()
        accelerator = self.accelerator
        connect(run, self.experiment, accelerator.prepare_model, accelerator.scaler, self.device)
        self.run, self.steps_per_epoch, self.epoch, self.batch = run, run.steps_per_epoch, 0, 0
        first_epoch = restore_stage(self, restored) if restored else 1
        self._each("on_stage_start")
        if self.is_main:
            tell_stage_notes(run, self.models, f"stages.{self.stage_index}", loader, start)
        begin_finite(self)
        try:
            for self.epoch in range(first_epoch, int(stage.epochs) + 1):  # type: ignore[arg-type]
                self._fit_epoch(run)
            run.frozen.prove()
        finally:
            run.end()
            loader.close()
            self.caches.end()
            self.run = None
            self.accelerator.free_memory()

    def loader(self, stage: Stage) -> Loader:
        """What a stage trains on."""
        loader = as_loader(stage.data if stage.data is not None else self.experiment.data["train"])
        if loader.num_training_batches() == 0:
            message = f"{loader.samples_per_epoch} samples are less than one batch\n  hint: a smaller batch_size, or drop_last: false"
            raise TrainingError(message)
        return loader

    def _fit_epoch(self, run: StageRun) -> None:
        self._logged_at = time.monotonic()
        if self.batch == 0:
            self.measured, self.means = {}, LossMeter(list(run.distiller.terms))
        seed_path = SeedPath(self.experiment.seed, self.stage_index, self.epoch - 1)
        self.plan = plan = self.caches.plan(run.loader, seed_path)
        self.seeds = batch_seeds(SeedPath(seed_path.seed, seed_path.stage, self.epoch), len(plan.indices), rank())
        run.set_modes(self.models)
        run.update.keep_buffers()
        for batch, share in shared_batches(self, run, seed_path):
            self._fit_batch(run, batch, share, plan)
        self._log_training(run)
        prove_finite(self)
        advance_scheduler(self, "epoch", self.epoch, self.means.epoch())
        self.batch = 0
        self._each("on_epoch_end")

    def _fit_batch(self, run: StageRun, batch: dict[str, Any], share: LossScale, plan: BatchPlan) -> None:
        number, accumulate = self.batch, int(run.stage.accumulate)  # type: ignore[arg-type]
        begin = number - number % accumulate
        ends = number + 1 == min(begin + accumulate, len(plan.indices))
        done = (self.epoch - 1) * run.steps_per_epoch + number // accumulate
        if not self.faults.leaves_out(self.stage_index, self.epoch, begin, accumulate):
            samples = plan.indices[number].shape[0]
            seed_torch(self.seeds[number], self.device)
            weights = run.weights(self.stage_index, done)
            moved = self.moved(batch)
            with explained_step(run, moved, samples), checks_on_every_device(done == 0):
                total, terms = shared_backward(run.backward, moved, weights, share, last=ends)
            self.means.add(number, samples, total, terms)
            if ends:
                if done == 0 and self.is_main:
                    tell_without_gradient(run.trainable, self.stage_index, run.update.apart)
                run.update.step(number)
        self.batch += 1
        if ends:
            self._end_step(run, done + 1)

    def _end_step(self, run: StageRun, steps: int) -> None:
        self.step += 1
        self.averages.update()
        advance_scheduler(self, "step", steps)
        if steps % self.experiment.log_every == 0:
            self._log_training(run)
        call_each(self, self._each_step, "on_step_end")
        if self._stop.is_due(self.step):
            self.save()
            message = f"stopped at step {self.step} as asked"
            raise KeyboardInterrupt(message)

    def _log_training(self, run: StageRun) -> None:
        """Log the means since the last line; the only place where a step's numbers reach the host."""
        window = self.means.flush()
        if window is None:
            return
        self.faults.hear(self, run, window)
        now = time.monotonic()
        rate = window.samples / max(now - self._logged_at, 1e-9)
        self._logged_at = now
        lr = float(run.optimizer.param_groups[0]["lr"])
        self.log({"split": "train", "loss": window.loss, "losses": window.losses, "lr": lr, "samples_per_second": rate})

    def moved(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch as the models take it."""
        moved: dict[str, Any] = batch if self.device.type == "cpu" else to_device(batch, self.device)
        return channels_last(moved) if self.experiment.channels_last else moved

    def _each(self, event: str, *arguments: Any) -> None:
        call_each(self, self.callbacks, event, *arguments)
