"""The commands that read the folders of runs: a table of finished ones, and what differs between some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._options import Debug, Json, end

runs_app = typer.Typer()


@runs_app.command()
def report(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER", help="Where runs are, at any depth.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="PATH", help="Also write PATH.md, PATH.json and PATH.png.", show_default=False
        ),
    ] = None,
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help="The heading [the folders].")] = "",
    metric: Annotated[
        str, typer.Option("--metric", metavar="NAME", help="Which metric [the one that chooses the checkpoint].")
    ] = "",
    debug: Debug = False,
) -> None:
    """Print a table of the finished runs below some folders."""

    def action() -> None:
        from ._report import report_runs

        report_runs(folders, output=output, title=title, metric=metric)

    end(action, debug=debug)


@runs_app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN", help="The folders of two runs or more.", show_default=False)
    ],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print what differs between runs, and their results."""

    def action() -> None:
        from ._compare import compare_runs

        compare_runs(runs, as_json=as_json)

    end(action, debug=debug)
