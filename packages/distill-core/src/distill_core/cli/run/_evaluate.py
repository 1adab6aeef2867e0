"""`distill evaluate`: evaluate the trained models of a run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import did_you_mean
from .._command import Command
from .._exit import refuse
from .._options import run_dir_argument, trust_option
from .._run_files import RESOLVED, newest_config

if TYPE_CHECKING:
    from torch import Tensor

    from ...experiment import Evaluation
    from ...train import Trainer

CHECKPOINTS = ("best", "last")


@click.command(cls=Command)
@run_dir_argument
@click.option("--checkpoint", metavar="best|last", default="best", help="Checkpoint of the student to evaluate.")
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

    from ...train import Trainer
    from .._load import build_experiment, load_document
    from ._results import metrics_table

    if checkpoint not in CHECKPOINTS:
        refuse(f"--checkpoint must be 'best' or 'last', got '{checkpoint}'", did_you_mean(checkpoint, CHECKPOINTS))
    if not (run_dir / RESOLVED).is_file():
        refuse(f"{run_dir} is not the folder of a run: it has no {RESOLVED}")
    experiment = build_experiment(load_document(newest_config(run_dir, RESOLVED), (), trust), trust)
    trainer = Trainer(experiment, output=run_dir)
    for name, weights in _weights(trainer, run_dir, checkpoint).items():
        trainer.models[name].load_state_dict(weights)
    evaluations = _evaluations(trainer)
    measured = {
        split: trainer.evaluate(evaluation, stage=trainer.stages[-1]) for split, evaluation in evaluations.items()
    }
    percent = [name for split, evaluation in evaluations.items() for name in evaluation.percent(measured[split])]
    Console().print(metrics_table({checkpoint: ({}, measured)}, percent))
    return measured


def _weights(trainer: Trainer, run_dir: Path, checkpoint: str) -> Mapping[str, Mapping[str, Tensor]]:
    from ...weights import read_weights
    from .._record import check_recorded

    if checkpoint == "last" and trainer.store is not None and trainer.store.name("latest"):
        models: Mapping[str, Mapping[str, Tensor]] = trainer.store.read("latest")["models"]
        return models
    files = {name: run_dir / f"{name}.safetensors" for name in trainer.models}
    for file in files.values():
        check_recorded(file)
    weights = {name: read_weights(file) for name, file in files.items() if file.is_file()}
    if not weights or checkpoint == "last":
        refuse(
            f"{run_dir} has no {checkpoint} checkpoint",
            "if the run has not finished, resume it: distill run … --resume",
        )
    return weights


def _evaluations(trainer: Trainer) -> dict[str, Evaluation]:
    """Return every `Evaluate` and `test` by split, with the models as at the end of the run."""
    from ...train import Evaluate

    for model in trainer.models.values():
        model.to(trainer.device)
    evaluations = {c.split: c.evaluation for c in trainer.callbacks if isinstance(c, Evaluate)}
    if trainer.experiment.test is not None:
        evaluations["test"] = trainer.experiment.test
    return evaluations
