"""A finished run rebuilt: its experiment, with the trained weights in its models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import did_you_mean
from .._exit import refuse
from .._run_files import RESOLVED, newest_config

if TYPE_CHECKING:
    from torch import Tensor

    from ...experiment import Evaluation, Inputs
    from ...train import Trainer

CHECKPOINTS = ("best", "last")


def rebuilt(
    run_dir: Path, *, checkpoint: str = "best", overrides: Sequence[str] = (), trust: Sequence[str] = ()
) -> Trainer:
    """Return the trainer of a run with its trained models, on their device.

    Args:
        run_dir: Output folder of the run.
        checkpoint: `best` is the selected epoch, or the last one if none was selected; `last` is the last checkpoint.
        overrides: Overrides of the values of its experiment, each as `key=value`.
        trust: Packages whose objects the file may name besides the trusted ones.

    Raises:
        ConfigError: `run_dir` is not the folder of a run, or there is no such checkpoint.
    """
    from ...train import Trainer
    from .._load import build_experiment, load_document

    if checkpoint not in CHECKPOINTS:
        refuse(f"--checkpoint must be 'best' or 'last', got '{checkpoint}'", did_you_mean(checkpoint, CHECKPOINTS))
    if not (run_dir / RESOLVED).is_file():
        refuse(f"{run_dir} is not the folder of a run: it has no {RESOLVED}")
    document = load_document(newest_config(run_dir, RESOLVED), overrides, trust)
    trainer = Trainer(build_experiment(document, trust), output=run_dir)
    for name, weights in _weights(trainer, run_dir, checkpoint).items():
        trainer.models[name].load_state_dict(weights)
    for model in trainer.models.values():
        model.to(trainer.device)
    return trainer


def evaluations_of(trainer: Trainer) -> dict[str, Evaluation]:
    """Return every `Evaluate` and `test` by split."""
    from ...train import Evaluate

    evaluations = {c.split: c.evaluation for c in trainer.callbacks if isinstance(c, Evaluate)}
    if trainer.experiment.test is not None:
        evaluations["test"] = trainer.experiment.test
    return evaluations


def feed_of(trainer: Trainer) -> Mapping[str, Inputs] | None:
    """Return the wiring of the models' inputs in the last stage, if there are stages."""
    return trainer.stages[-1].feed if trainer.stages else None


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
