"""What many commands share: the options of all, and how one ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from ._exit import guarded

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]

Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", metavar="PACKAGE", help="Let the file name objects of this package, too.", show_default=False
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --output, if it was begun.")]
Change = Annotated[
    bool,
    typer.Option("--change", help="With --resume: accept changes of FILE that do not concern what was trained so far."),
]


def end(action: Callable[[], object], *, debug: bool) -> None:
    """Do what a command does, and end with its exit code."""
    raise typer.Exit(guarded(action, debug=debug))
