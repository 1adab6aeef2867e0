"""The command `distill`, and the functions behind `distill run`, `evaluate`, `predict`, `export`, `sweep` and `report`.

Importing this package imports almost nothing, so that `distill --help` and `distill check FILE` answer at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run._evaluate import evaluate_run as evaluate_run
    from .run._predict import predict_run as predict_run
    from .run._run import run_experiment as run_experiment
    from .run._sweep import run_sweep as run_sweep
    from .runs._export import export_run as export_run
    from .runs._report import report_runs as report_runs

__all__ = ["evaluate_run", "export_run", "main", "predict_run", "report_runs", "run_experiment", "run_sweep"]

_FUNCTIONS = {
    "run_experiment": "run._run",
    "evaluate_run": "run._evaluate",
    "predict_run": "run._predict",
    "run_sweep": "run._sweep",
    "export_run": "runs._export",
    "report_runs": "runs._report",
}
"""Name of a function → its module, which is imported when the function is used."""


def main() -> None:
    """Run the command line and exit with its exit code."""
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes (workers, compilers) import nothing from the current folder
    os.environ.setdefault("USE_HUB_KERNELS", "0")  # transformers loads no code from the hub
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # those of transformers, too
    from ._app import app

    app(prog_name="distill")


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f".{_FUNCTIONS[name]}", __name__), name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
