"""The uses of data in a run: stages, evaluations and the test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..experiment import Evaluation, Experiment, Inputs
from ._resolved_stage import ResolvedStage
from .callbacks import Evaluate


@dataclass(frozen=True)
class Reading:
    """One use of data.

    Attributes:
        where: The key of the data, or the name of what is measured.
        data: A loader, or a data function that is not called yet.
        wanted: The inputs of the losses or metrics.
        feed: Model → its inputs.
    """

    where: str
    data: Any
    wanted: Sequence[Inputs]
    feed: Mapping[str, Inputs]


def readings(experiment: Experiment, stages: Sequence[ResolvedStage]) -> Iterator[Reading]:
    """Yield every use of data, stage by stage, then the test.

    Args:
        experiment: What is run.
        stages: Its stages, with omitted fields filled in.
    """
    measured = [each for each in experiment.callbacks if isinstance(each, Evaluate)]
    for number, stage in enumerate(stages):
        feed: Any = stage.feed or {}
        terms: Any = stage.losses
        where, data = f"stages.{number}.data", stage.data
        if data is None:
            where, data = "data.train", experiment.data.get("train")
        yield Reading(where, data, [term.inputs for term in terms.values()], feed)
        for each in measured:
            yield _of_evaluation(each.split, each.evaluation, feed)
    if experiment.test is not None:
        yield _of_evaluation("test", experiment.test, stages[-1].feed if stages else {})


def _of_evaluation(where: str, evaluation: Evaluation, feed: Mapping[str, Inputs]) -> Reading:
    inputs = [entry.inputs for entry in evaluation.metrics.values()]
    return Reading(where, evaluation.loader, inputs, feed if evaluation.feed is None else evaluation.feed)
