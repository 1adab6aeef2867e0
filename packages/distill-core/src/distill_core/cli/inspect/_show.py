"""`distill show`: the resolved experiment."""

from __future__ import annotations

import json
from pathlib import Path

import click

from .._command import Command
from .._options import file_argument, json_option, overrides_argument


@click.command(cls=Command)
@file_argument
@overrides_argument
@json_option
def show(file: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Print FILE with includes and bases resolved.

    --json prints one object: the path of each value, stages.0.epochs, and the value. A tag is the value of its path.
    """
    from ...config import read
    from .._flatten import leaves

    document = read(file, overrides)
    if as_json:
        print(json.dumps(leaves(document.root), indent=1, ensure_ascii=False))
    else:
        print(document.dump(), end="")
