"""The end of a stage that `steps` or a callback puts within an epoch."""

from __future__ import annotations

from ..data import BatchPlan
from ._stage_run import StageRun
from ._state import RunState


def until_end(run: StageRun, plan: BatchPlan, epoch: int) -> BatchPlan:
    """Return the batches of an epoch, without those after the last step of the stage."""
    rest = (run.num_steps - (epoch - 1) * run.steps_per_epoch) * run.stage.accumulate
    return plan.pick(range(rest)) if rest < len(plan.indices) else plan


def continue_cut_epoch(run: StageRun, state: RunState) -> None:
    """Move a state at the end of an epoch that `steps` cut short back into it, if the stage has become longer."""
    before = (state.epoch - 1) * run.steps_per_epoch
    end = min(run.num_steps, before + run.steps_per_epoch)
    if state.batch == 0 and state.stage_step < end and not state.is_stopped:
        state.batch = (state.stage_step - before) * run.stage.accumulate
