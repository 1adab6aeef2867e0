"""What to do about a batch whose numbers are not finite: end the run, leave it out, or go back and leave it out."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any, Literal

from ...distributed import rank
from ...errors import TrainingError
from ._loss_meter import LogWindow
from ._parameters import shorten

if TYPE_CHECKING:
    from .._stage import StageRun
    from .._trainer import Trainer
    from ..checkpoints import CheckpointStore

logger = logging.getLogger("distill")


class RollBack(Exception):  # noqa: N818  not an error: the run goes on
    """Take up the newest checkpoint again."""


class NonfinitePolicy:
    """Remembers which batches are left out.

    Args:
        policy: What to do.
        most: How many batches may be left out.

    Attributes:
        never_finite: Tensors, `model.tensor`, that were not finite at the start of a stage.
    """

    def __init__(self, policy: Literal["stop", "skip", "rollback"], most: int) -> None:
        self.policy = policy
        self.most = most
        self.never_finite: set[str] = set()
        self._left_out: set[tuple[int, int, int]] = set()

    def needs_checkpoint(self, store: CheckpointStore | None) -> bool:
        """Whether one must be written before the first step, so that there is always one to go back to.

        Raises:
            TrainingError: The run has no folder to write it into.
        """
        if self.policy != "rollback":
            return False
        if store is None:
            message = "`nonfinite: rollback` goes back to checkpoints, and this run has no folder\n  hint: give it an output folder, or use `nonfinite: skip`"
            raise TrainingError(message)
        return store.name("latest") is None

    def leaves_out(self, stage: int, epoch: int, begin: int, accumulate: int) -> bool:
        """Whether a batch among the `accumulate` ones from `begin` on is left out, and so the whole step."""
        if not self._left_out:
            return False
        return any((stage, epoch, batch) in self._left_out for batch in range(begin, begin + accumulate))

    def hear(self, trainer: Trainer, run: StageRun, window: LogWindow) -> None:
        """Act on what the steps since the last log line brought.

        Raises:
            TrainingError: A number was not finite and the run ends.
            RollBack: A number was not finite and the newest checkpoint is to be taken up.
        """
        withheld = run.update.bad_batches()
        if not withheld and not window.bad:
            return
        batches = withheld or trainer.means.bad_batches()
        first = batches[:1] if self.policy != "skip" else batches
        told = self._told(trainer, first[0] if first else None, gradients=bool(withheld))
        if self.policy == "stop" or not withheld:
            message = f"{told}\n  hint: {self._hint(trainer, first[0] if first else None)}"
            raise TrainingError(message)
        self._left_out |= {(trainer.stage_index, trainer.epoch, batch) for batch in first}
        if len(self._left_out) > self.most:
            message = f"{told}\n  hint: {self.most} batches were left out before this one; that is as many as may be (max_nonfinite)"
            raise TrainingError(message)
        if trainer.is_main:
            logger.warning("%s", told)
        if self.policy == "rollback":
            raise RollBack

    def _told(self, trainer: Trainer, batch: int | None, *, gradients: bool) -> str:
        where = f"stage {trainer.stage_index}, epoch {trainer.epoch}"
        if batch is None:
            return f"{where}: a loss of another process is not finite"
        what = (
            "the gradients or buffers are not finite; the update was withheld"
            if gradients
            else "the loss is not finite"
        )
        terms = ", ".join(f"{name} {value:.4g}" for name, value in trainer.means.terms(batch).items())
        samples = shorten([str(index) for index in trainer.plan.indices[batch].tolist()], 16)
        return f"{where}, batch {batch}: {what}\n  losses: {terms}\n  samples of process {rank()}: {samples}"

    def _hint(self, trainer: Trainer, batch: int | None) -> str:
        infinite = [] if batch is None else [n for n, v in trainer.means.terms(batch).items() if v == math.inf]
        if infinite:
            which = f"{', '.join(infinite)} is infinite"
            return f"{which}: where logits hold −∞, rule out the same classes in student and teacher; or a lower learning rate"
        return "a lower learning rate, clip_grad_norm, or `nonfinite: skip`"

    def state(self) -> list[Any]:
        """What a checkpoint must hold."""
        return sorted(self._left_out)

    def load_state(self, state: list[Any]) -> None:
        """Go on from there; what was found since stays left out."""
        self._left_out |= {tuple(place) for place in state}
