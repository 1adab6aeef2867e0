"""`distill evaluate`: evaluate the trained models of a run again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from .._command import Command
from .._options import checkpoint_option, run_dir_argument, trust_option


@click.command(cls=Command)
@run_dir_argument
@checkpoint_option
@trust_option
def evaluate(run_dir: Path, checkpoint: str, trust: tuple[str, ...]) -> None:
    """Evaluate the models of a run again.

    The datasets and metrics are those of its experiment.
    """
    evaluate_run(run_dir, checkpoint=checkpoint, trust=trust)


def evaluate_run(run_dir: Path, *, checkpoint: str = "best", trust: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """Rebuild the experiment of a run, load the trained weights, evaluate them, and print the metrics.

    Args:
        run_dir: Output folder of the run.
        checkpoint: `best` is the selected epoch, or the last one if none was selected; `last` is the last checkpoint.
        trust: Packages whose objects the file may name besides the trusted ones.

    Returns:
        Split → metric → value.

    Raises:
        ConfigError: `run_dir` is not the folder of a run, or there is no such checkpoint.
    """
    from rich.console import Console

    from ._results import metrics_table
    from ._trained import evaluations_of, rebuilt

    trainer = rebuilt(run_dir, checkpoint=checkpoint, trust=trust)
    evaluations = evaluations_of(trainer)
    measured = {
        split: trainer.evaluate(evaluation, stage=trainer.stages[-1]) for split, evaluation in evaluations.items()
    }
    percent = [name for split, evaluation in evaluations.items() for name in evaluation.percent(measured[split])]
    Console().print(metrics_table({checkpoint: ({}, measured)}, percent))
    return measured
