"""Policy for batches that are not finite: stop the run, skip the batch, or roll back and skip it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import nn

from ...data import BatchPlan
from ...distributed import rank
from ...errors import TrainingError
from .._state import RunState, Store
from ._finite import not_finite
from ._loss_meter import LogWindow, LossMeter
from ._parameters import shorten

logger = logging.getLogger("distill")


class RollBack(Exception):  # noqa: N818  not an error: the run continues
    """Resume from the newest checkpoint."""


class NonfinitePolicy:
    """Decides what happens when numbers are not finite, and remembers which batches are skipped.

    Args:
        policy: What to do.
        limit: Number of batches that may be skipped.
    """

    def __init__(self, policy: Literal["stop", "skip", "rollback"], limit: int) -> None:
        self.policy = policy
        self.limit = limit
        self._never_finite: set[str] = set()  # `model.tensor`, not finite already at the start of a stage
        self._skipped: set[tuple[int, int, int]] = set()

    def begin_stage(self, modules: Mapping[str, nn.Module]) -> None:
        """Record the tensors that are not finite at the start of a stage (masks of −∞)."""
        self._never_finite.update(not_finite(modules))

    def needs_checkpoint(self, store: Store | None) -> bool:
        """Return whether a checkpoint must be written before the first step, so that a rollback is always possible.

        Raises:
            TrainingError: The run has no folder for it.
        """
        if self.policy != "rollback":
            return False
        if store is None:
            message = "`nonfinite: rollback` needs checkpoints, but this run has no folder"
            raise TrainingError(message, hint="set an output folder, or use `nonfinite: skip`")
        return store.name("latest") is None

    def skips(self, stage: int, epoch: int, begin: int, accumulate: int) -> bool:
        """Return whether one of the `accumulate` batches from `begin` on is skipped, and with it the optimizer step."""
        if not self._skipped:
            return False
        return any((stage, epoch, batch) in self._skipped for batch in range(begin, begin + accumulate))

    def verify_window(
        self, window: LogWindow, withheld: list[int], meter: LossMeter, state: RunState, plan: BatchPlan
    ) -> None:
        """Act on the steps since the last log line.

        Args:
            window: The means of these steps.
            withheld: Indices of the batches whose update was withheld.
            meter: Holds the losses of each batch of the window.
            state: The state of the run.
            plan: The batches of the epoch.

        Raises:
            TrainingError: A number was not finite and the run stops.
            RollBack: A number was not finite and the newest checkpoint is to be resumed.
        """
        if not withheld and not window.num_bad:
            return
        batches = withheld or meter.bad_batches()
        first = batches[:1] if self.policy != "skip" else batches
        batch = first[0] if first else None
        message = _describe(state, meter, plan, batch, gradients=bool(withheld))
        if self.policy == "stop" or not withheld:
            raise TrainingError(message, hint=_hint(meter, batch))
        self._skipped |= {(state.stage, state.epoch, index) for index in first}
        if len(self._skipped) > self.limit:
            hint = f"{self.limit} batches were skipped before this one, which is the limit (max_nonfinite)"
            raise TrainingError(message, hint=hint)
        if rank() == 0:
            logger.warning("%s", message)
        if self.policy == "rollback":
            raise RollBack

    def verify_modules(self, modules: Mapping[str, nn.Module], state: RunState, store: Store | None) -> None:
        """Verify that every tensor is finite, except those that were not at the start of the stage.

        Raises:
            TrainingError: A tensor is not finite any more.
        """
        bad = [name for name in not_finite(modules) if name not in self._never_finite]
        if not bad:
            return
        latest = store.name("latest") if store else None
        where = f"stage {state.stage}, epoch {state.epoch}, step {state.step}"
        message = f"not finite: {shorten(bad, 6)}; no checkpoint was saved"
        hint = "lower the learning rate or set clip_grad_norm" + (
            f"; the last good checkpoint is {latest}" if latest else ""
        )
        raise TrainingError(message, key=where, hint=hint)

    def state(self) -> list[Any]:
        """Return the skipped batches for a checkpoint."""
        return sorted(self._skipped)

    def load_state(self, state: list[Any]) -> None:
        """Restore the skipped batches; those that were added since stay skipped."""
        self._skipped |= {tuple(batch) for batch in state}


def _describe(state: RunState, meter: LossMeter, plan: BatchPlan, batch: int | None, *, gradients: bool) -> str:
    where = f"stage {state.stage}, epoch {state.epoch}"
    if batch is None:
        return f"{where}: a loss of another process is not finite"
    withheld = "the gradients or buffers are not finite; the update was withheld"
    what = withheld if gradients else "the loss is not finite"
    terms = ", ".join(f"{name} {value:.4g}" for name, value in meter.terms(batch).items())
    samples = shorten([str(index) for index in plan.indices[batch].tolist()], 16)
    return f"{where}, batch {batch}: {what}\n  losses: {terms}\n  samples of process {rank()}: {samples}"


def _hint(meter: LossMeter, batch: int | None) -> str:
    infinite = [] if batch is None else [name for name, value in meter.terms(batch).items() if value == math.inf]
    if infinite:
        which = f"{', '.join(infinite)} is infinite"
        return f"{which}: where logits hold −∞, rule out the same classes in student and teacher; or lower the learning rate"
    return "a lower learning rate, clip_grad_norm, or `nonfinite: skip`"
