"""`distill check --deep`: build everything but the data on the meta device, run it there, and say what will happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..config import Document, NodesByKey
from ..data import SeedPath
from ..errors import ConfigError, DistillError, Problem
from ..experiment import Evaluation, Experiment
from ..taps import BATCH
from ..train import Evaluate, check_readers, resolved_stages
from ..train.teachers import Caches
from ..wiring import Wiring, check_signature, read_batch
from ._describe import describe_inputs, describe_model
from ._example_batch import example_batch, loader_of
from ._meta_build import build_on_meta
from ._record import Line, Plan, StagePlan
from ._stage_check import StageCheck
from ._tap_problems import tap_problems


def deep_check(document: Document, trust: Sequence[str] = ()) -> Plan:
    """Build models, losses and metrics without memory, run a batch without data through them.

    Data are not read: a data function gives an example of its batches with its attribute `example_batch`. One that has
    no such attribute is called, and a few of its samples are read and repeated.

    Args:
        document: A file that has been checked already.
        trust: Packages whose objects the file may name besides the trusted ones.

    Raises:
        ConfigError: Something does not fit; each problem stands at its place.
    """
    nodes = NodesByKey(document)
    experiment = build_on_meta(document, trust)
    problems = tap_problems(nodes, experiment.models)
    if problems:
        raise ConfigError(problems)
    plans, problems = _stages(experiment, nodes)
    measures, more = _measures(experiment, nodes)
    if problems or more:
        unique = {(problem.location, problem.message): problem for problem in reversed([*problems, *more])}
        raise ConfigError(list(reversed(unique.values())))  # a metric behind an alias is wrong once
    models = [(name, describe_model(model)) for name, model in experiment.models.items()]
    return Plan(models=models, stages=plans, measures=measures)


def _stages(experiment: Experiment, nodes: NodesByKey) -> tuple[list[StagePlan], list[Problem]]:
    plans: list[StagePlan] = []
    problems: list[Problem] = []
    try:
        stages = resolved_stages(experiment)
    except DistillError as error:
        return [], [nodes.problem(str(error).partition(":")[0].partition(" ")[0], error)]
    try:
        caches = Caches(experiment)
    except DistillError as error:
        return [], [nodes.problem(str(error).partition(":")[0].partition(" ")[0], error)]
    try:
        notes = check_readers(experiment.models, experiment, stages)
    except DistillError as error:
        notes, problems = [], [nodes.problem("data", error)]
    averages = [f"{name}_ema" for name in experiment.ema]
    for number, stage in enumerate(stages):
        data = stage.data if stage.data is not None else experiment.data["train"]
        start = SeedPath(experiment.seed, number)
        try:
            batch = example_batch(data, start)
        except DistillError as error:
            problems.append(nodes.problem("data" if stage.data is None else nodes.of_stage(number, "data"), error))
            continue
        checked = StageCheck(experiment.models, stage, number, len(stages), batch, nodes, averages, caches)
        plan, found = checked.run(loader_of(data), start)
        problems += found
        plans += [plan] if plan else []
    if plans:
        plans[0] = replace(plans[0], notes=[*plans[0].notes, *notes])
    return plans, problems


def _measures(experiment: Experiment, nodes: NodesByKey) -> tuple[list[Line], list[Problem]]:
    """What is measured, and which metrics cannot be: their signature or a batch field does not fit."""
    evaluations: list[tuple[str, str, Evaluation]] = [
        (callback.split, f"callbacks.{number}", callback.evaluation)
        for number, callback in enumerate(experiment.callbacks)
        if isinstance(callback, Evaluate)
    ]
    if experiment.test is not None:
        evaluations.append(("test", "test", experiment.test))
    lines: list[Line] = []
    problems: list[Problem] = []
    for split, key, evaluation in evaluations:
        try:
            batch = example_batch(evaluation.loader)
        except DistillError as error:
            problems.append(nodes.problem(f"{key}.loader", error))
            continue
        for name, entry in evaluation.metrics.items():
            try:
                check_signature(entry.metric, entry.inputs, f"metrics.{name}")
                for tap in Wiring(entry.inputs, f"metrics.{name}").taps:
                    read_batch(batch, tap) if tap.source == BATCH else None
            except DistillError as error:
                problems.append(nodes.problem(f"{key}.metrics.{name}.inputs", error))
            lines.append((split, name, type(entry.metric).__name__, describe_inputs(entry.inputs)))
    return lines, problems
