"""A stage as it runs: every field has a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from ..data import Loader, Stream, as_loader
from ..distributed import world_size
from ..errors import TrainingError, WiringError
from ..experiment import FIRST_STAGE, Experiment, Inputs, Stage, Term
from ..stage_problems import incomplete_stages


@dataclass(frozen=True, kw_only=True)
class ResolvedStage:
    """A `Stage` with omitted fields taken from the stage before.

    The attributes are those of `Stage`. One of `epochs` and `steps` is None. `train` is None where the default applies, and
    `data` where the stage trains on `data.train`; a stage without a scheduler or a limit of the gradient norm has None there.
    `limit_batches` is that of the experiment; with it, the stage has one epoch at most.
    """

    epochs: int | None
    steps: int | None
    losses: Mapping[str, Term]
    optimizer: Callable[..., Any]
    scheduler: Callable[..., Any] | None
    scheduler_step: Literal["epoch", "step"]
    data: Any
    train: Sequence[str] | None
    groups: Mapping[str, Mapping[str, Any]]
    feed: Mapping[str, Inputs]
    modes: Mapping[str, Literal["train", "eval"]]
    accumulate: int
    clip_grad_norm: float | None
    stop_early: bool | None
    limit_batches: int | None = None

    def loader(self, experiment: Experiment) -> Loader:
        """Return the loader to train on.

        Raises:
            TrainingError: It has less than one batch.
        """
        loader = as_loader(self.data if self.data is not None else experiment.data["train"])
        if not isinstance(loader, Stream) and loader.num_training_batches() == 0:
            if loader.samples_per_epoch < world_size():
                message = f"{loader.samples_per_epoch} samples are fewer than {world_size()} processes"
                raise TrainingError(message, hint="start fewer processes")
            message = f"{loader.samples_per_epoch} samples are less than one batch"
            raise TrainingError(message, hint="reduce batch_size, or set drop_last: false")
        return loader

    def steps_per_epoch(self, loader: Loader) -> int:
        """Return the number of optimizer steps in an epoch; a stage on a stream is one epoch.

        Raises:
            TrainingError: The data are a stream, and the stage has no `steps`.
        """
        if isinstance(loader, Stream):
            if self.steps is None:
                message = f"the data are a stream ({type(loader.dataset).__name__}), which has no number of epochs"
                raise TrainingError(message, hint="set `steps` instead of `epochs`")
            return self.steps
        return -(-loader.num_training_batches() // self.accumulate)

    def num_epochs(self, steps_per_epoch: int) -> int:
        """Return the number of epochs of the stage; the last one may be cut short by `steps`."""
        return self.epochs if self.epochs is not None else -(-self.num_steps(steps_per_epoch) // steps_per_epoch)

    def num_steps(self, steps_per_epoch: int) -> int:
        """Return the number of optimizer steps of the stage."""
        steps = self.steps if self.steps is not None else steps_per_epoch * (self.epochs or 0)
        return steps if self.limit_batches is None else min(steps, -(-self.limit_batches // self.accumulate))


def resolve(
    stages: Sequence[Stage], data: Collection[str], *, tests: bool = False, limit_batches: int | None = None
) -> list[ResolvedStage]:
    """Return the stages with omitted fields filled in.

    Args:
        stages: The stages as written.
        data: Names of the experiment's loaders.
        tests: Whether the experiment has a test, and may have no stages.
        limit_batches: Number of batches after which each stage ends; all by default.

    Raises:
        WiringError: A stage lacks a required field.
    """
    for problem in incomplete_stages(stages, data, tests=tests):
        raise WiringError(problem.message, key=problem.key, hint=problem.hint)
    resolved, previous = [], FIRST_STAGE
    for stage in stages:
        previous = stage.after(previous)
        names = [field.name for field in fields(ResolvedStage) if field.name != "limit_batches"]
        values: dict[str, Any] = {name: getattr(previous, name) for name in names}
        values |= {"limit_batches": limit_batches} | ({"epochs": 1} if limit_batches and values["epochs"] else {})
        values |= {name: values[name] or {} for name in ("groups", "feed", "modes")}
        values["scheduler_step"] = previous.scheduler_step or ("epoch" if previous.steps is None else "step")
        resolved.append(ResolvedStage(**values))
    return resolved
