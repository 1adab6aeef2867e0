"""The command `distill`, and the function behind `distill run`.

Importing this package imports almost nothing, so that `distill --help` and `distill check FILE` answer at once.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .run._run import run_experiment as run_experiment


def main() -> None:
    """Run the command line and exit with its exit code."""
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes (workers, compilers) import nothing from the current folder
    os.environ.setdefault("USE_HUB_KERNELS", "0")  # transformers loads no code from the hub
    from ._app import app

    app(prog_name="distill")


def __getattr__(name: str) -> Any:
    if name == "run_experiment":
        from .run._run import run_experiment

        return run_experiment
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
