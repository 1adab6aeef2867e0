"""`distill zoo export`: weights in the layout of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import click

from .._command import Command
from .._options import PATH, json_option
from ._options import name_argument, offline_option


@click.command(cls=Command)
@name_argument
@click.argument("folder", metavar="DIR", type=PATH, help="Output folder; created if it does not exist.")
@json_option
@offline_option
def export(name: str, folder: Path, as_json: bool, offline: bool) -> None:
    """Export weights in the layout of the Hugging Face Hub.

    The folder holds safetensors, config.json and a README.
    """
    from ._package import open_zoo
    from ._show import show_paths

    with open_zoo(offline=offline) as zoo:
        show_paths({name: zoo.save_pretrained(name, folder)}, as_json=as_json)
