"""A finished run or a file rebuilt: its experiment, with trained weights in its models."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import did_you_mean
from .._exit import refuse
from .._flatten import leaves
from .._run_files import RESOLVED, newest_version, working_directory

if TYPE_CHECKING:
    from torch import Tensor

    from ...config import Document
    from ...experiment import Evaluation, Inputs
    from ...train import Trainer

CHECKPOINTS = ("best", "last")
logger = logging.getLogger("distill")


def trained_config(target: Path) -> Path:
    """Return the file of an experiment: the newest one of a run, or the file itself.

    Raises:
        ConfigError: `target` is neither the folder of a run nor a file.
    """
    if target.is_file():
        return target
    if not (target / RESOLVED).is_file():
        refuse(f"{target} is not the folder of a run: it has no {RESOLVED}")
    return newest_version(target, RESOLVED)


def rebuilt(
    target: Path, *, checkpoint: str = "best", overrides: Sequence[str] = (), trust: Sequence[str] = ()
) -> Trainer:
    """Return the trainer of a run with its trained models, or of a file with its models as built, on their device.

    Args:
        target: Output folder of the run, or the file.
        checkpoint: `best` is the selected epoch, or the last one if none was selected; `last` is the last checkpoint.
        overrides: Overrides of the values of its experiment, each as `key=value`.
        trust: Packages whose objects the file may name besides the trusted ones.

    Raises:
        ConfigError: `target` is neither, or there is no such checkpoint.
    """
    from ...train import Trainer
    from ...train.parallel import read_deferred
    from .._load import build_experiment, load_document

    if checkpoint not in CHECKPOINTS:
        refuse(f"--checkpoint must be 'best' or 'last', got '{checkpoint}'", did_you_mean(checkpoint, CHECKPOINTS))
    document = load_document(trained_config(target), overrides, trust)
    if target.is_dir():
        _warn_elsewhere(target, document)
    trainer = Trainer(build_experiment(document, trust), output=target if target.is_dir() else None)
    read_deferred(trainer.models, trainer.device)
    if target.is_dir():
        for name, weights in _weights(trainer, target, checkpoint).items():
            trainer.models[name].load_state_dict(weights)
    elif checkpoint != "best":
        refuse(f"--checkpoint is for the folder of a run, got the file {target}", "name the weights in the file")
    for model in trainer.models.values():
        model.to(trainer.device)
    return trainer


def _warn_elsewhere(run_dir: Path, document: Document) -> None:
    """Warn if relative paths of a run's file start elsewhere than in the run."""
    start = working_directory(run_dir)
    if start is None or start == Path.cwd():
        return
    values = [v for leaf in leaves(document.root).values() for v in (leaf if isinstance(leaf, list) else [leaf])]
    names = [value for value in values if isinstance(value, str) and _is_path(value, start)]
    if names:
        logger.warning(
            "the run was started in %s; relative paths, '%s' for example, are read from %s", start, names[0], Path.cwd()
        )


def _is_path(value: str, start: Path) -> bool:
    """Return whether a text names a file that is not the same from both folders."""
    if not value or Path(value).is_absolute():
        return False
    with contextlib.suppress(OSError, ValueError):  # too long for a name, a null character
        here, there = Path(value), start / value
        return (here.exists() or there.exists()) and here.resolve() != there.resolve()
    return False


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
    from ...train.parallel import read_stored
    from ...weights import read_weights
    from .._record import check_recorded

    if checkpoint == "last" and trainer.store is not None and trainer.store.name("latest"):
        models = trainer.store.read("latest")["models"]
        return {name: read_stored(weights, {}) for name, weights in models.items()}
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
