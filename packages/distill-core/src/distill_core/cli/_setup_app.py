"""The commands around a run: this machine, a first file, the editor, weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._exit import guarded

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")]

setup_app = typer.Typer()


@setup_app.command()
def schema(
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write it there.")] = None,
    tags: Annotated[
        Path | None,
        typer.Option("--tags", metavar="FILE", help="Print the editor's setting yaml.customTags for this experiment."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Print the JSON Schema of an experiment, for editors."""

    def action() -> None:
        from ._schema import print_schema

        print_schema(output, tags)

    raise typer.Exit(guarded(action, debug=debug))
