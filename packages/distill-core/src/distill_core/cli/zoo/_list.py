"""`distill zoo list`: the weights of the zoo with their metrics."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from .._command import Command
from .._options import json_option

KEYS = ("name", "dataset", "metrics", "license", "teacher", "owner")


@click.command("list", cls=Command)
@click.argument("pattern", metavar="[GLOB]", default="*", help="Pattern of names: 'cifar10/*'")
@click.option("--cached", is_flag=True, help="Only list weights that are on this machine.")
@json_option
def list_(pattern: str, cached: bool, as_json: bool) -> None:
    """List all weights with their reported metrics."""
    from .._columns import aligned
    from ._package import open_zoo
    from ._show import metric_of, to_json

    with open_zoo() as zoo:
        cards = [zoo.card(name) for name in zoo.list_models(pattern) if not cached or zoo.cached(name)]
        if as_json:
            print(to_json([_summary(card) for card in cards]))
        elif cards:
            print("\n".join(aligned((card.name, metric_of(card), card.license, _trust(card)) for card in cards)))


def _summary(card: Any) -> dict[str, Any]:
    values = dataclasses.asdict(card)
    return {key: values[key] for key in KEYS} | {"verified": card.verified, "embedded": card.embedded}


def _trust(card: Any) -> str:
    return "included" if card.embedded else "verified" if card.verified else "unverified"
