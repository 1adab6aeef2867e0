"""An experiment from a file: read, check, seed, build."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..config import Builder, Document, check, cross_check, read, refuse
from ..experiment import Evaluation, Experiment, Metric, Stage, Term
from ._complete import stage_problems

SCHEMAS = {"Evaluation": Evaluation, "Metric": Metric, "Stage": Stage, "Term": Term}
"""The dataclasses of an experiment by their names in annotations."""


def load_document(file: Path, overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> Document:
    """Read and check a file without importing anything that it names.

    Raises:
        ConfigError: The file has problems; all are reported.
        TrustError: The file names something outside the trusted packages.
    """
    document = read(file, tuple(overrides))
    refuse([*check(document, Experiment, SCHEMAS, trust), *stage_problems(document), *cross_check(document, trust)])
    return document


def build_experiment(document: Document, trust: Sequence[str] = ()) -> Experiment:
    """Seed all randomness, then build everything that the document names, in document order.

    Raises:
        ConfigError: Arguments do not match a signature, or a model is not an `nn.Module`.
        TrustError: The document names an object outside the trusted packages.
    """
    from ..data import seed_everything
    from ..preview import refuse_models

    builder = Builder(document, trust)
    seed = next((value for key, value in document.root.value if key.value == "seed"), None)
    seed_everything(int(builder.build(seed)) if seed is not None else 0)
    experiment = builder.decode(document.root, Experiment)
    refuse_models(document, experiment.models)
    return experiment
