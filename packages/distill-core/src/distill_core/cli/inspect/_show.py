"""`distill show`: the resolved experiment."""

from __future__ import annotations

from pathlib import Path

import click

from .._command import Command
from .._options import file_argument, overrides_argument


@click.command(cls=Command)
@file_argument
@overrides_argument
def show(file: Path, overrides: tuple[str, ...]) -> None:
    """Print FILE with includes and bases resolved."""
    from ...config import read

    print(read(file, overrides).dump(), end="")
