"""What a model card says about the training of a model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from ..data import as_loader, class_names_of_data
from ..experiment import Experiment
from ..weights import describe_model

_RECIPES = ("config.source", "config.resolved")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Training:
    """The training of a model.

    Attributes:
        results: The content of `results.json`.
        models: Name → class, size and, if known, name on the hub.
        base_model: Name on the hub of the model from which the weights come, "" if unknown.
        losses: Names of the terms.
        data: Split → number and kind of samples.
        recipe: The YAML text, "" for a run from Python.
        license: Name of the license on the hub, such as `apache-2.0`, "" if not given.
        datasets: Names of the datasets on the hub.
    """

    results: Mapping[str, Any]
    models: Mapping[str, str]
    base_model: str
    losses: Sequence[str]
    data: Mapping[str, str]
    recipe: str
    license: str = ""
    datasets: Sequence[str] = ()


def describe_training(
    experiment: Experiment,
    model: str,
    results: Mapping[str, Any],
    run_dir: Path | None,
    *,
    license: str = "",  # noqa: A002  as the key of the hub is called
    datasets: Sequence[str] = (),
) -> Training:
    """Collect what a model card says about a run.

    Args:
        experiment: The experiment.
        model: Name of the model of the card.
        results: The content of `results.json`, or what is known of it.
        run_dir: The run's folder, which holds the recipe.
        license: Name of the license on the hub.
        datasets: Names of the datasets on the hub.
    """
    names = {name: hub_name(each) for name, each in experiment.models.items()}
    models = {
        name: describe_model(each) + (f", from {names[name]}" if names[name] else "")
        for name, each in experiment.models.items()
    }
    losses = (name for stage in experiment.stages if isinstance(stage.losses, Mapping) for name in stage.losses)
    loaders = {**experiment.data, **({"test": experiment.test.loader} if experiment.test else {})}
    return Training(
        results={"about": experiment.about, "seed": experiment.seed, **results},
        models=models,
        base_model=names.get(model, ""),
        losses=list(dict.fromkeys(losses)),
        data={split: _describe_data(loader) for split, loader in loaders.items()},
        recipe=_read_recipe(run_dir),
        license=license,
        datasets=datasets,
    )


def hub_name(network: nn.Module) -> str:
    """Return the name on the hub of the weights from which a model of transformers was built, "" if unknown."""
    name = str(getattr(getattr(network, "config", None), "_name_or_path", ""))
    return name if _HUB_ID.fullmatch(name) and not Path(name).exists() else ""


def _describe_data(loader: Any) -> str:
    """Return the number of samples and of classes; a dataset's class would mean nothing to a reader of the card."""
    loader = as_loader(loader)
    classes = len(class_names_of_data(loader))
    size = f"{len(loader.dataset):,} samples" if hasattr(loader.dataset, "__len__") else "a stream of samples"
    return size + (f" of {classes} classes" if classes else "")


def _read_recipe(folder: Path | None) -> str:
    """Return the newest recipe in a run's folder; a changed run has several, `config.source.2.yaml`."""
    if folder is None:
        return ""
    files = (sorted(folder.glob(f"{name}*.yaml"), key=_version) for name in _RECIPES)
    return next((versions[-1].read_text(encoding="utf-8") for versions in files if versions), "")


def _version(file: Path) -> int:
    number = file.stem.rpartition(".")[2]
    return int(number) if number.isdigit() else 1
