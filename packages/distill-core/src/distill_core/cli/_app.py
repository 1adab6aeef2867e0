"""The command `distill`: the names of its commands and the files that hold them."""

from __future__ import annotations

import click

from .. import __version__
from ._command import LazyGroup

PATHS = {
    "run": "run._run:run",
    "check": "inspect._check:check",
    "evaluate": "run._evaluate:evaluate",
    "predict": "run._predict:predict_command",
    "export": "runs._export:export",
    "inspect": "inspect._inspect:inspect_command",
    "show": "inspect._show:show",
    "list": "inspect._list:list_",
    "launch": "run._launch:launch",
    "sweep": "run._sweep:sweep",
    "slurm": "run._slurm:slurm",
    "report": "runs._report:report",
    "compare": "runs._compare:compare",
    "schema": "setup._schema:schema",
    "convert": "setup._convert:convert",
    "convert-torchdistill": "setup._convert_torchdistill:convert_torchdistill_command",
    "new": "setup._new:new",
    "doctor": "setup.doctor._doctor:doctor",
    "cache": "cache:cache",
    "zoo": "zoo:zoo",
}


@click.group(cls=LazyGroup, paths=PATHS, context_settings={"show_default": True, "max_content_width": 120})
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Train and distill models from one declarative YAML file."""
