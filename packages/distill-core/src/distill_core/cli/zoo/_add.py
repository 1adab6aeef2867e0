"""`distill zoo add`: a card for the weights of a finished run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from .._command import Command
from .._options import PATH, json_option, run_dir_argument


@click.command(cls=Command)
@run_dir_argument
@click.option("--name", metavar="NAME", required=True, help="Name of the weights: my_data/my_model")
@click.option("--model", metavar="NAME", default="student", help="Model of the run to add.")
@click.option(
    "--license", metavar="TEXT", default="", show_default=False, help="License of the weights, an SPDX identifier."
)
@click.option(
    "--teacher", metavar="NAME", default="", show_default=False, help="Name of the teacher's weights in the zoo."
)
@click.option("--paper", metavar="URL", default="", show_default=False, help="Paper that describes the method.")
@click.option("--recipe", metavar="URL", default="", show_default=False, help="Published YAML file of the run.")
@click.option("--tolerance", metavar="X", type=float, help="Allowed difference of the metric when the run is repeated.")
@click.option("--into", metavar="DIR", type=PATH, help="Folder of cards.", show_default="a folder in DISTILL_HOME")
@json_option
def add(run_dir: Path, name: str, as_json: bool, **settings: Any) -> None:
    """Add a model of a finished run to the zoo.

    The card holds its weights, metrics, recipe and log.
    """
    from ._package import open_zoo
    from ._show import metric_of, to_json

    with open_zoo() as zoo:
        card = zoo.add_run(run_dir, name, **settings)
        print(to_json(dataclasses.asdict(card)) if as_json else f"{card.name}  {metric_of(card)}")
