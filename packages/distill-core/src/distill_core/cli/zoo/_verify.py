"""`distill zoo verify`: check downloaded weights against their hashes."""

from __future__ import annotations

from typing import Any

import click

from ...errors import DistillError
from .._command import Command
from .._options import json_option

INTACT = "intact"


@click.command(cls=Command)
@click.argument("names", metavar="[NAME]...", nargs=-1, help="Names of weights; by default all on this machine.")
@json_option
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Verify the hashes of weights on this machine."""
    from .._columns import aligned
    from ._package import open_zoo
    from ._show import to_json

    with open_zoo() as zoo:
        verdicts = {name: _verdict(zoo, name) for name in names or filter(zoo.cached, zoo.list_models())}
    if as_json:
        print(to_json(verdicts))
    elif verdicts:
        print("\n".join(aligned(verdicts.items())))
    if wrong := [name for name, verdict in verdicts.items() if verdict != INTACT]:
        message = f"damaged or missing: {', '.join(wrong)}"
        raise DistillError(message)


def _verdict(zoo: Any, name: str) -> str:
    try:
        return INTACT if zoo.verify(name) else "not on this machine"
    except zoo.ZooError as error:
        return str(error)
