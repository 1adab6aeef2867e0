"""The `distill` command, and the function behind `distill run`.

Importing this imports next to nothing: `distill --help` and `distill check FILE` must answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._run import run_experiment as run_experiment


def main() -> None:
    """Run the command line and end the process with its exit code."""
    os.environ["PYTHONSAFEPATH"] = "1"  # a child process (a worker, a compiler) imports nothing from the current folder
    os.environ.setdefault("USE_HUB_KERNELS", "0")  # transformers loads no code from the hub
    arguments = sys.argv[1:]
    if len(arguments) > 1 and arguments[0] == "check" and not any(word.startswith("-") for word in arguments):
        # typer converts arguments with pydantic, whose import alone takes longer than a whole static check.
        from ._check import check_file
        from ._exit import guarded

        sys.exit(guarded(lambda: check_file(arguments[1], arguments[2:])))
    from ._app import app

    app(prog_name="distill")


def __getattr__(name: str) -> Any:
    if name == "run_experiment":
        from ._run import run_experiment

        return run_experiment
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
