"""An experiment from a file: read, check, seed, build."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config import Builder, Document, check, cross_check, read, refuse, trusted
from ..errors import ConfigError, Problem
from ..experiment import Evaluation, Experiment, Metric, Stage, Term
from ._cached_models import provide_cached_models
from ._code import newest_code
from ._complete import stage_problems
from ._run_files import COMMAND, working_directory

SCHEMAS = {"Evaluation": Evaluation, "Metric": Metric, "Stage": Stage, "Term": Term}
"""The dataclasses of an experiment by their names in annotations."""


def load_document(file: Path, overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> Document:
    """Read and check a file without importing anything that it names.

    Raises:
        ConfigError: The file has problems; all are reported.
        TrustError: The file names something outside the trusted packages.
    """
    try:
        document = replace(read(file, tuple(overrides)), modules=_modules(file))
        trust = trusted(document, trust)
        refuse([*check(document, Experiment, SCHEMAS, trust), *stage_problems(document), *cross_check(document, trust)])
    except ConfigError as error:
        if _is_torchdistill(file):
            message = f"{file} is a file of torchdistill"
            hint = f"convert it: distill convert-torchdistill {shlex.quote(str(file))} NEW.yaml"
            raise ConfigError([Problem(message, hint=hint, id="torchdistill-file")]) from error
        raise
    return document


def _modules(file: Path) -> Path:
    """Return the folder of modules beside a file; for the file of a run, its copies or beside the file that it was started with."""
    command = file.parent / COMMAND
    if file.name.startswith("config.resolved") and command.is_file():
        if code := newest_code(file.parent):
            return code
        words = shlex.split(command.read_text(encoding="utf-8").partition("\n")[0])
        start = working_directory(file.parent) or Path()
        return start / Path(words[2]).parent if len(words) > 2 else file.parent
    return file.parent


def _is_torchdistill(file: Path) -> bool:
    from ..convert import is_torchdistill

    try:
        return is_torchdistill(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return False


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
    provide_cached_models(document, builder)
    experiment = builder.decode(document.root, Experiment)
    refuse_models(document, experiment.models)
    return experiment
