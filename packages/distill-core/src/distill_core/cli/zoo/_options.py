"""Arguments and options that several zoo commands share."""

from __future__ import annotations

import click

name_argument = click.argument("name", metavar="NAME", help="Name of the weights: cifar10/resnet20")
names_argument = click.argument(
    "names", metavar="NAME...", nargs=-1, required=True, help="Names of weights: cifar10/resnet20"
)
offline_option = click.option("--offline", is_flag=True, help="Download nothing; fail if a file is missing.")
