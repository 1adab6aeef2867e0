"""The end of a run: the last epoch and the chosen one, tested once; the student's weights in a file."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from ..errors import TrainingError
from ..records import fingerprint, write_record
from ..weights import save_tensors
from .callbacks import Checkpoint, Evaluate, strict_json
from .checkpoints import prove_finite, trained_models
from .parallel import load_whole, whole

if TYPE_CHECKING:
    from ._trainer import Trainer

logger = logging.getLogger("distill")


def finish(trainer: Trainer, seconds: float) -> dict[str, Any]:
    """Test the last epoch and the chosen one, leave the chosen weights in the models and in files.

    Returns:
        `test` holds the metrics of the chosen epoch, of the last one where nothing was chosen; `best` and `last` say
        when they were, with their metrics on each split. `percent` lists the metrics that are fractions and are printed
        in percent. `files` holds the size and SHA-256 of each file of weights, on
        the process that writes them.
    """
    experiment = trainer.experiment
    selection = next((c for c in trainer.callbacks if isinstance(c, Checkpoint) and c.best is not None), None)
    test = experiment.test
    last: dict[str, Any] = {"stage": trainer.stage_index, "epoch": trainer.epoch, **trainer.measured}
    if test is not None:
        last["test"] = trainer.evaluate(test)
    best = None
    chosen = _chosen(trainer, selection)
    if selection is not None and selection.chosen is not None and chosen is not None:
        best = dict(selection.chosen)
        for name, weights in chosen.items():
            load_whole(trainer.models[name], weights)
        if test is not None:
            same = (best["stage"], best["epoch"]) == (last["stage"], last["epoch"])
            best["test"] = last["test"] if same else trainer.evaluate(test)
    results: dict[str, Any] = {
        "about": experiment.about,
        "test": (best or last).get("test"),
        "best": best,
        "last": last,
        "selection": {"metric": selection.best, "mode": selection.mode, "split": selection.split}
        if selection
        else None,
        "percent": _percent(trainer, last),
        "seed": experiment.seed,
        "seconds": round(seconds, 3),
        "files": {},
        "parameters": {name: count_parameters(model) for name, model in trainer.models.items()},
    }
    prove_finite(trainer)
    names = [*trained_models(trainer), *trainer.averages.names]
    weights = {name: whole(trainer.models[name].state_dict()) for name in names} if trainer.output else {}
    if trainer.is_main and trainer.output is not None:
        for name, tensors in weights.items():
            save_tensors(tensors, trainer.output / f"{name}.safetensors")
            results["files"][f"{name}.safetensors"] = fingerprint(trainer.output / f"{name}.safetensors")
        write_record(trainer.output / "results.json", strict_json(results, indent=2) + "\n")
    trainer.accelerator.wait_for_everyone()
    return results


def _percent(trainer: Trainer, measured: Mapping[str, Any]) -> list[str]:
    evaluations = {c.split: c.evaluation for c in trainer.callbacks if isinstance(c, Evaluate)}
    if trainer.experiment.test is not None:
        evaluations["test"] = trainer.experiment.test
    names = (name for split, each in evaluations.items() for name in each.percent(measured.get(split, ())))
    return list(dict.fromkeys(names))


def _chosen(trainer: Trainer, selection: Checkpoint | None) -> dict[str, Any] | None:
    """The weights of the chosen epoch by model; None, with a warning, if its checkpoint cannot be read."""
    if selection is None or selection.chosen is None or trainer.store is None:
        return None
    try:
        models: dict[str, Any] = trainer.store.read("best")["models"]
    except TrainingError as error:
        logger.warning("%s; the results and the weights are those of the last epoch", error)
        return None
    return models


def count_parameters(model: nn.Module) -> int:
    """The number of parameters, shared ones counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
