"""`distill zoo download`: download and verify weights."""

from __future__ import annotations

import click

from .._command import Command
from .._options import json_option
from ._options import names_argument, offline_option


@click.command(cls=Command)
@names_argument
@json_option
@offline_option
def download(names: tuple[str, ...], as_json: bool, offline: bool) -> None:
    """Download weights, verify their hashes, and print their paths."""
    from ._package import open_zoo
    from ._show import show_paths

    with open_zoo(offline=offline) as zoo:
        show_paths({name: zoo.download(name) for name in names}, as_json=as_json)
