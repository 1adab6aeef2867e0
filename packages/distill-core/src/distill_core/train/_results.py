"""The end of a run: test of the last and of the chosen epoch, and the files of results and weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import TrainingError
from ..records import strict_json, write_record
from ..weights import save_tensors
from ._state import Run
from .callbacks import Checkpoint, Evaluate
from .checkpoints import CheckpointStore
from .parallel import load_unsharded
from .teachers import CachedModel

logger = logging.getLogger("distill")


def evaluate_test(run: Run, store: CheckpointStore | None, seconds: float) -> dict[str, Any]:
    """Test the last epoch and the chosen one, and leave the chosen weights in the models.

    Args:
        run: The run.
        store: Its checkpoints, if it has a folder.
        seconds: Duration of the training.

    Returns:
        `test` holds the metrics of the chosen epoch, of the last one if none was chosen; `best` and `last` hold stage,
        epoch, step and metrics on each split. `stopped` lists the stages that a callback ended early. `percent` lists the metrics that are fractions and are printed in percent.
        `data` holds the `summary()` of each dataset that has one. `files` is empty.
    """
    experiment, state = run.experiment, run.state
    selection = next((c for c in run.callbacks if isinstance(c, Checkpoint) and c.best is not None), None)
    test = experiment.test
    last: dict[str, Any] = {**state.position(), **state.measured}
    if test is not None:
        last["test"] = run.evaluate(test)
    best = None
    weights = _chosen_weights(store, selection)
    if selection is not None and selection.chosen is not None and weights is not None:
        best = dict(selection.chosen)
        for name, tensors in weights.items():
            load_unsharded(run.models[name], tensors)
        if test is not None:
            best["test"] = last["test"] if best["step"] == last["step"] else run.evaluate(test)
    chosen_by = {"metric": selection.best, "mode": selection.mode, "split": selection.split} if selection else None
    return {
        "about": experiment.about,
        "test": (best or last).get("test"),
        "best": best,
        "last": last,
        "stopped": state.stopped,
        "selection": chosen_by,
        "percent": _percent(run, last),
        "seed": experiment.seed,
        "seconds": round(seconds, 3),
        "files": {},
        "parameters": {
            name: count_parameters(model) for name, model in run.models.items() if not isinstance(model, CachedModel)
        },
        "data": _summaries(experiment.data),
    }


def write_results(results: dict[str, Any], weights: Mapping[str, Mapping[str, Tensor]], output: Path) -> None:
    """Write `results.json` and the weights.

    Args:
        results: Gets the size and SHA-256 of each file of weights under `files`.
        weights: The unsharded weights of each model.
        output: The run's folder.
    """
    for name, tensors in weights.items():
        file = f"{name}.safetensors"
        results["files"][file] = save_tensors(tensors, output / file)
    write_record(output / "results.json", strict_json(results, indent=2) + "\n")


def _percent(run: Run, measured: Mapping[str, Any]) -> list[str]:
    """Return the metrics that are fractions and are printed in percent."""
    evaluations = {c.split: c.evaluation for c in run.callbacks if isinstance(c, Evaluate)}
    if run.experiment.test is not None:
        evaluations["test"] = run.experiment.test
    names = (name for split, each in evaluations.items() for name in each.percent(measured.get(split, ())))
    return list(dict.fromkeys(names))


def _chosen_weights(store: CheckpointStore | None, selection: Checkpoint | None) -> dict[str, Any] | None:
    """Return the weights of the chosen epoch by model; None, with a warning, if its checkpoint cannot be read."""
    if selection is None or selection.chosen is None or store is None:
        return None
    try:
        models: dict[str, Any] = store.read("best")["models"]
    except TrainingError as error:
        logger.warning("%s; the results and the weights are those of the last epoch", error)
        return None
    return models


def _summaries(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the datasets of the loaders say about themselves."""
    methods = {name: getattr(getattr(loader, "dataset", None), "summary", None) for name, loader in data.items()}
    return {name: summary() for name, summary in methods.items() if callable(summary)}


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters; shared ones are counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
