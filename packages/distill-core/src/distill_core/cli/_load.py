"""From a file to an experiment: read, check, seed, build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import Builder, Document, check, read, refuse
from ..experiment import Evaluation, Experiment, Metric, Stage, Term
from ._complete import stage_problems
from ._fits import misfits
from ._nodes_by_key import Places

SCHEMAS = {"Evaluation": Evaluation, "Metric": Metric, "Stage": Stage, "Term": Term}
"""The records that an experiment consists of, by the name that annotations call them."""


def load_document(file: Path, overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> Document:
    """Read and check a file; nothing it names is imported.

    Raises:
        ConfigError: There are problems; all of them are told.
        TrustError: The file names something outside the trusted packages.
    """
    document = read(file, tuple(overrides))
    refuse([*check(document, Experiment, SCHEMAS, trust), *stage_problems(document), *misfits(document, trust)])
    return document


def build_experiment(document: Document, trust: Sequence[str] = ()) -> Experiment:
    """Seed all chance, then build everything the document names, in document order.

    Raises:
        ConfigError: A call does not fit the signature of what it calls.
        TrustError: The document names an object outside the trusted packages.
    """
    from ..data import seed_everything

    builder = Builder(document, trust)
    seed = next((value for key, value in document.root.value if key.value == "seed"), None)
    seed_everything(int(builder.build(seed)) if seed is not None else 0)
    experiment = builder.decode(document.root, Experiment)
    refuse_models(document, experiment.models)
    return experiment


def refuse_models(document: Document, models: Mapping[str, Any]) -> None:
    """Refuse models that are not an `nn.Module`.

    Raises:
        ConfigError: There are some; each is located.
    """
    from torch import nn

    places, problems = Places(document), []
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            what = f"the {'class' if isinstance(model, type) else type(model).__name__} {getattr(model, '__name__', '')}".rstrip()
            hint = "'!import_call:' makes a model, '!import_get:' gives the class or function itself"
            node, key = places.find(f"models.{name}")
            problems.append(document.problem(node, f"'{name}' must be an nn.Module, got {what}", key, hint))
    refuse(problems)
