"""The training loop: stages, epochs, steps."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data import BatchPlan, Loader, SeedPath, batch_seeds, derive_seed, seed_everything, seed_torch
from ..distributed import rank, world_size
from ..experiment import Evaluation, Experiment
from ._block_forwards import block_forwards
from ._evaluation import evaluate
from ._first_evaluation import check_evaluations
from ._lazy import first_batch
from ._located import advance_scheduler, call_each, located
from ._resolved_stage import ResolvedStage
from ._results import evaluate_test, write_results
from ._run_batch import run_batch
from ._run_context import make_accelerator, running
from ._scaled_batches import scaled_batches
from ._setup import set_up
from ._stage import connect, prepare_stage, resolved_stages
from ._stage_end import continue_cut_epoch, until_end
from ._stage_notes import log_stage_notes
from ._stage_run import StageRun
from ._state import RunState
from ._trainer_view import TrainerView
from .callbacks import Callback, with_defaults
from .checkpoints import RunCheckpoints
from .parallel import StopRequest, same_buffers, weights_on_main
from .progress import displays
from .step import EMA, LossMeter, LossScale, NonfinitePolicy, RollBack, warn_without_gradient
from .teachers import CacheInputs, Caches, set_own_inputs


class Trainer(TrainerView):
    """Runs an experiment. Callbacks see it as a `Run`, whose attributes are described there.

    Args:
        experiment: The experiment.
        output: The run's folder for metrics, checkpoints, results and the student; without it nothing is written.
        callbacks: Further callbacks, after those of the experiment.
        progress: Whether `fit` shows the run: a live bar on a terminal and in a notebook, lines on standard error elsewhere.
    """

    def __init__(
        self,
        experiment: Experiment,
        *,
        output: Path | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool = True,
    ) -> None:
        self.experiment = experiment
        self.output = output
        self.models: dict[str, nn.Module] = dict(experiment.models)
        self.stages: Sequence[ResolvedStage] = resolved_stages(experiment)
        self.state = RunState()
        self.weights: Mapping[str, Mapping[str, Tensor]] = {}
        self.steps_per_epoch = 0
        self.caches = Caches(experiment)
        set_own_inputs(self.models, experiment)
        if output:
            output.mkdir(parents=True, exist_ok=True)
        self.callbacks = with_defaults([*experiment.callbacks, *callbacks, *displays(progress)], output)
        self.accelerator = make_accelerator(experiment)
        self.device = torch.device(self.accelerator.device)
        self.run = None
        self.meter = LossMeter([])
        self.ema = EMA(self.models, experiment.ema)
        self.nonfinite = NonfinitePolicy(experiment.nonfinite, experiment.max_nonfinite)
        self.checkpoints = RunCheckpoints(
            experiment, self.stages, self.models, ema=self.ema, caches=self.caches, output=output,
            nonfinite=self.nonfinite, scaler=self.accelerator.scaler, device=self.device,
        )  # fmt: skip
        self.store = self.checkpoints.store
        self._stop = StopRequest()
        self._each_step = [c for c in self.callbacks if type(c).on_step_end is not Callback.on_step_end]
        self._plan = BatchPlan([], [])
        self._seeds: list[int] = []
        self._logged_at = 0.0

    def fit(self, *, resume: bool = False, change: bool = False) -> dict[str, Any]:
        """Train all stages, then test; return the content of `results.json`.

        Args:
            resume: Resume from the newest checkpoint in the run's folder.
            change: Accept changes that do not concern what was trained so far.

        Raises:
            TrainingError: The run cannot start, continue or resume.
        """
        folder, blocks = self.output if self.is_main else None, block_forwards(self.models, self.experiment)
        with running(folder, self._stop, self.checkpoints, self.callbacks), blocks:
            return self._fit(resume=resume, change=change)

    def _fit(self, *, resume: bool, change: bool) -> dict[str, Any]:
        start = time.monotonic()
        set_up(self.models, self.experiment, self.stages, self.device)
        with self.autocast():
            check_evaluations(self.models, self.experiment, self.stages, self.device)
        saved = None
        if resume:
            self.state, saved = self.checkpoints.restore_run(change=change)
        self._each("on_fit_start")
        index = self.state.stage
        while index < len(self.stages):
            try:
                self._fit_stage(index, saved)
                saved, index = None, index + 1
            except RollBack:
                self._wait_for_checkpoint()
                self.state, saved = self.checkpoints.restore_run(change=change)
                index = self.state.stage
        self._wait_for_checkpoint()
        results = evaluate_test(self, self.store, time.monotonic() - start)
        self.checkpoints.verify_finite(self.state)
        trained = self.checkpoints.trained_models(self.state)
        self.weights = {name: weights_on_main(model) for name, model in trained.items()}
        if self.output is not None and self.is_main:
            write_results(results, self.weights, self.output)
        self.accelerator.wait_for_everyone()
        called = [callback for callback in self.callbacks if self.is_main or callback.on_every_process]
        call_each(self, called, "on_fit_end", results)
        return results

    def evaluate(
        self, evaluation: Evaluation, *, split: str | None = None, stage: ResolvedStage | None = None
    ) -> dict[str, float]:
        """Return the metrics of the models as they are now.

        Args:
            evaluation: The loader and the metrics.
            split: Log the metrics under this name, and keep them in `state.measured`.
            stage: The stage whose `feed` wires the models; the current one by default.
        """
        self._same_buffers()
        with self.autocast():
            feed = (stage or self.stage).feed if self.stages else None
            metrics = evaluate(self.models, evaluation, feed, self.device, limit=self.experiment.limit_batches)
        if split is not None:
            self.state.measured[split], self.state.measured_at[split] = metrics, self.state.step
            self.log({"split": split, "metrics": metrics, "percent": evaluation.percent(metrics)})
        return metrics

    def save(self, *, best: bool = False) -> None:
        """Start to write a checkpoint, if the run has a folder; refuse one with numbers that are not finite."""
        if self.store is None:
            return
        if self.run is not None and self.run.update.has_bad():
            self._log_training(self.run)  # acts on withheld updates
        self._same_buffers()
        self.checkpoints.write(self.state, self.run, self.meter, best=best)

    def log(self, record: dict[str, Any]) -> None:
        """Pass a record to the callbacks, with stage, epoch and step added."""
        if self.is_main:
            self._each("on_log", {**self.state.position(), **record})

    def cache_inputs(self, loader: Loader) -> CacheInputs:
        """Return what the caches of a stage need to compute values."""
        return CacheInputs(loader, self.device, self.moved, self.autocast, self.accelerator.wait_for_everyone)

    def _fit_stage(self, index: int, saved: dict[str, Any] | None) -> None:
        if saved is None:
            self.state.begin_stage(index)
        state, stage, start = self.state, self.stages[index], SeedPath(self.experiment.seed, index)
        loader = stage.loader(self.experiment)
        seed_everything(derive_seed(start.seed, start.stage))
        run = prepare_stage(
            self.models, stage, index, loader, lambda: self.moved(first_batch(loader, start)), self.device,
            self.ema.names, self.caches, seed=start.seed,
        )  # fmt: skip
        self.ema.initialise()
        connect(run, self.experiment, self.accelerator.prepare_model, self.accelerator.scaler, self.device)
        self.run, self.steps_per_epoch = run, run.steps_per_epoch
        state.learnt |= {name.split(".")[0] for name in run.trainable} & set(self.models)
        if saved is not None:
            self.meter = self.checkpoints.restore_stage(saved, state, run)
            continue_cut_epoch(run, state)
        with located(self, self.caches):
            self.caches.open(self.cache_inputs(loader), state)
        self._each("on_stage_start")
        if self.is_main:
            log_stage_notes(run, self.models, f"stages.{index}", loader, start)
        if self.nonfinite.policy == "rollback":
            self._wait_for_checkpoint()
        if self.checkpoints.begin_stage(state, run):
            self.save()
        try:
            for epoch in range(state.epoch + (state.batch == 0), run.num_epochs + 1):
                if state.is_stopped and state.batch == 0:
                    break
                state.epoch = epoch
                self._fit_epoch(run)
            run.frozen.verify()
        finally:
            run.end()
            loader.close()
            self.caches.end()
            self.run = None
            self.accelerator.free_memory()

    def _fit_epoch(self, run: StageRun) -> None:
        state = self.state
        self._logged_at = time.monotonic()
        if state.batch == 0:
            state.measured, state.measured_at, self.meter = {}, {}, LossMeter(list(run.distiller.terms))
        seed_path = SeedPath(self.experiment.seed, state.stage, state.epoch - 1)
        complete = self.caches.plan(run.loader, seed_path)
        self._plan = plan = until_end(run, complete, state.epoch)
        self._seeds = batch_seeds(SeedPath(seed_path.seed, seed_path.stage, state.epoch), len(plan.indices), rank())
        run.set_modes(self.models)
        run.update.keep_buffers()
        batches = scaled_batches(
            run, self.caches, plan, seed_path, state.batch,
            prepare=self.moved, autocast=self.autocast, seeds=self._seeds, device=self.device,
        )  # fmt: skip
        for batch, scale in () if state.is_stopped else batches:
            self._fit_batch(run, batch, scale, plan)
            if state.is_stopped:
                break
        self._log_training(run)
        self.checkpoints.verify_finite(state, run)
        advance_scheduler(self, run, "epoch", state.epoch, self.meter.epoch())
        state.batch = 0
        if plan is complete and not state.is_stopped:
            with located(self, self.caches):
                self.caches.complete_epoch(state.epoch)
        self._each("on_epoch_end")

    def _fit_batch(self, run: StageRun, batch: dict[str, Any], scale: LossScale, plan: BatchPlan) -> None:
        state, index, accumulate = self.state, self.state.batch, run.stage.accumulate
        begin = index - index % accumulate
        ends = index + 1 == min(begin + accumulate, len(plan.indices))
        done = state.stage_step
        if not self.nonfinite.skips(state.stage, state.epoch, begin, accumulate):
            samples = plan.indices[index].shape[0]
            seed_torch(self._seeds[index], self.device)
            weights = run.weights(state.stage, done)
            total, terms = run_batch(run, self.moved(batch), weights, scale, samples, last=ends, is_first=done == 0)
            self.meter.add(index, samples, total, terms)
            if ends:
                if done == 0 and self.is_main:
                    warn_without_gradient(run.trainable, state.stage, run.update.separate)
                run.update.step(index)
        state.batch += 1
        if ends:
            self._end_step(run)

    def _end_step(self, run: StageRun) -> None:
        self.state.step += 1
        self.state.stage_step += 1
        steps = self.state.stage_step
        self.ema.update()
        advance_scheduler(self, run, "step", steps)
        if steps % self.experiment.log_every == 0:
            self._log_training(run)
        call_each(self, self._each_step, "on_step_end")
        if self._stop.is_due(self.state.step):
            self.save()
            self._wait_for_checkpoint()
            message = f"stopped at step {self.state.step} on request"
            raise KeyboardInterrupt(message)

    def _log_training(self, run: StageRun) -> None:
        """Log the means since the last line; the only place where a step's numbers reach the host."""
        with located(self, self.caches):
            self.caches.verify_inputs()
        window = self.meter.flush()
        if window is None:
            return
        self.nonfinite.verify_window(window, run.update.bad_batches(), self.meter, self.state, self._plan)
        now = time.monotonic()
        rate = window.num_samples / max(now - self._logged_at, 1e-9)
        self._logged_at = now
        lr = float(run.optimizer.param_groups[0]["lr"])
        norm = run.update.norm if self.experiment.log_grad_norm else None
        line = {"split": "train", "loss": window.loss, "losses": window.losses, "lr": lr}
        line |= {} if norm is None else {"grad_norm": float(norm)}
        self.log({**line, "samples_per_second": rate})

    def _wait_for_checkpoint(self) -> None:
        """Wait until every process can read the last checkpoint."""
        self.checkpoints.wait()
        self.accelerator.wait_for_everyone()

    def _same_buffers(self) -> None:
        if world_size() > 1:
            same_buffers(self.models.values(), self.device)
            if self.run is not None:
                self.run.update.keep_buffers()

    def _each(self, event: str, *arguments: Any) -> None:
        call_each(self, self.callbacks, event, *arguments)
