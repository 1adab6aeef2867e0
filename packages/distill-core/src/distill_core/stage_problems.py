"""Problems that keep the stages of an experiment from training, found without building anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .errors import Problem
from .experiment import FIRST_STAGE, INHERIT, Stage

_REQUIRED_OF_FIRST = ("losses", "optimizer")


def incomplete_stages(stages: Sequence[Stage], data: Collection[str], *, tests: bool = False) -> list[Problem]:
    """Return the problems that keep stages from training, each with its key.

    Args:
        stages: The stages as written.
        data: The names of the loaders of the experiment.
        tests: Whether the experiment has a test, and may have no stages.

    >>> [problem.key for problem in incomplete_stages([], ["train"])]
    ['stages']
    """
    if not stages:
        problem = Problem("an experiment needs at least one stage, or a test", key="stages", id="no-stages")
        return [] if tests else [problem]
    missing = [name for name in _REQUIRED_OF_FIRST if getattr(stages[0], name) is INHERIT]
    problems = [
        Problem(f"the first stage needs '{name}'", key="stages.0", id="first-stage-incomplete") for name in missing
    ]
    problems += _length_problems(stages)
    if "train" not in data and (stages[0].data is INHERIT or stages[0].data is None):
        hint = "give `data.train`, or `data` of the stage"
        problems.append(Problem("there is no training data", key="stages.0", hint=hint, id="no-training-data"))
    for index, stage in enumerate(stages):
        if stage.losses is not INHERIT and not stage.losses:
            hint = "give at least one under `losses`"
            problems.append(Problem("a stage has no losses", key=f"stages.{index}.losses", hint=hint, id="no-losses"))
        if stage.train is not INHERIT and stage.train is not None and not stage.train:
            message = "the list is empty, so nothing would be trained"
            hint = "omit `train` to train all losses and every model whose name does not begin with 'teacher'"
            problems.append(Problem(message, key=f"stages.{index}.train", hint=hint, id="nothing-to-train"))
    return problems


def _length_problems(stages: Sequence[Stage]) -> list[Problem]:
    """Return the problems with the lengths of stages: each has either `epochs` or `steps`."""
    problems, previous = [], FIRST_STAGE
    for index, stage in enumerate(stages):
        previous = stage.after(previous)
        key = f"stages.{index}"
        if previous.epochs is None and previous.steps is None:
            subject = "the first stage" if index == 0 else "the stage"
            problems.append(Problem(f"{subject} needs 'epochs' or 'steps'", key=key, id="stage-without-length"))
        elif previous.epochs is not None and previous.steps is not None:
            message = "`epochs` and `steps` exclude each other: each sets the length of the stage"
            hint = "give one of them; where a base or an earlier stage sets the other, set that to null"
            problems.append(Problem(message, key=f"{key}.steps", hint=hint, id="two-lengths"))
        elif previous.steps is not None and previous.scheduler is not None and previous.scheduler_step == "epoch":
            message = "`scheduler_step: epoch` does not fit a stage of `steps`, which may end within an epoch"
            hint = "set `scheduler_step: step`"
            problems.append(Problem(message, key=key, hint=hint, id="epochs-of-steps"))
    return problems
