"""`distill evaluate`: evaluate the trained models of a run again, or those of a file, on the same or on other data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import did_you_mean
from .._command import Command
from .._exit import refuse
from .._options import PATH, checkpoint_option, json_option, overrides_argument, trust_option
from .._record_output import lines_aside, print_json

if TYPE_CHECKING:
    from ...experiment import Evaluation
    from ...train import Trainer


@click.command(cls=Command)
@click.argument("target", metavar="RUN_DIR|FILE", type=PATH, help="The output folder of a run, or a file with a test.")
@overrides_argument
@click.option(
    "--data", metavar="KEY=VALUE", multiple=True, help="Change an argument of the test data: --data root=other."
)
@click.option(
    "--split",
    metavar="NAME",
    default="",
    help="Evaluate only this split, or the data of this name with the metrics of the test.",
    show_default="all that the experiment evaluates",
)
@click.option("--per-class", is_flag=True, help="Also print the metrics of each class.")
@checkpoint_option
@json_option
@trust_option
def evaluate(
    target: Path,
    overrides: tuple[str, ...],
    data: tuple[str, ...],
    split: str,
    per_class: bool,
    checkpoint: str,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """Evaluate the models of a run, or of a file, again.

    The datasets and metrics are those of the experiment, with overrides. A file needs no stages: its models are evaluated
    as it builds them, for example with `distill_core.weights.load_weights`.
    """
    with lines_aside(as_json=as_json):
        evaluate_run(
            target,
            overrides,
            data=data,
            split=split,
            per_class=per_class,
            checkpoint=checkpoint,
            as_json=as_json,
            trust=trust,
        )


def evaluate_run(
    target: Path,
    overrides: Sequence[str] = (),
    *,
    data: Sequence[str] = (),
    split: str = "",
    per_class: bool = False,
    checkpoint: str = "best",
    as_json: bool = False,
    trust: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Rebuild the experiment of a run or a file, with the trained weights of a run, and evaluate it; print the metrics.

    Args:
        target: Output folder of a run, or an experiment, a YAML file.
        overrides: Overrides of the experiment's values, each as `key=value`.
        data: Changes of the arguments of the test data, each as `key=value`.
        split: The split to evaluate, or the name of a loader to evaluate with the metrics of the test. By default all that
            the experiment evaluates.
        per_class: Whether to measure each class, with the metrics that have an `of_classes`.
        checkpoint: `best` is the selected epoch, or the last one if none was selected; `last` is the last checkpoint.
        as_json: Whether to print JSON, without rounding.
        trust: Packages whose objects the file may name besides the trusted ones.

    Returns:
        Split → metric → value.

    Raises:
        ConfigError: `target` is neither, there is no such checkpoint or split, or no metric has values for each class.
    """
    from rich.console import Console

    from ._by_class import by_class
    from ._results import metrics_table
    from ._trained import rebuilt

    overrides = [*overrides, *_of_data(target, overrides, data)]
    trainer = rebuilt(target, checkpoint=checkpoint, overrides=overrides, trust=trust)
    evaluations = _chosen(trainer, split)
    if per_class:
        evaluations = {name: by_class(trainer, name, evaluation) for name, evaluation in evaluations.items()}
    stage = trainer.stages[-1] if trainer.stages else None
    measured = {name: trainer.evaluate(evaluation, stage=stage) for name, evaluation in evaluations.items()}
    percent = [name for split, evaluation in evaluations.items() for name in evaluation.percent(measured[split])]
    head = checkpoint if target.is_dir() else "as built"
    if as_json:
        print_json(measured)
    else:
        Console().print(metrics_table({head: ({}, measured)}, percent))
    return measured


def _of_data(target: Path, overrides: Sequence[str], changes: Sequence[str]) -> list[str]:
    """Return changes of arguments of the test data as overrides; a new argument is added."""
    from ...config import read
    from .._flatten import leaves
    from ._trained import trained_config

    if not changes:
        return []
    config = trained_config(target)
    known = leaves(read(config, overrides).root)
    if not any(key.startswith("test.loader") for key in known):
        refuse(f"{config} has no test, whose data --data changes", "override a loader: data.val.root=other")
    texts = []
    for change in changes:
        action, text = (change[0], change[1:]) if change[:1] in ("+", "~") else ("", change)
        key = f"test.loader.{text.partition('=')[0]}"
        is_new = not any(each == key or each.startswith(f"{key}.") for each in known)
        texts.append(f"{action or ('+' if is_new else '')}test.loader.{text}")
    return texts


def _chosen(trainer: Trainer, split: str) -> dict[str, Evaluation]:
    """Return the evaluations by split: all, or the chosen one."""
    from ...experiment import Evaluation
    from ._trained import evaluations_of

    evaluations, test, loaders = evaluations_of(trainer), trainer.experiment.test, trainer.experiment.data
    if not evaluations:
        refuse("the experiment has neither a test nor an evaluation")
    if not split:
        return evaluations
    if split in evaluations:
        return {split: evaluations[split]}
    if test is None or split not in loaders:
        names = [*evaluations, *(loaders if test is not None else ())]
        refuse(f"there is no split '{split}'", did_you_mean(split, names))
    return {split: Evaluation(loader=loaders[split], metrics=test.metrics, feed=test.feed)}
