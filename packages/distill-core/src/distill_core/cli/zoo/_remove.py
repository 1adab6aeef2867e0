"""`distill zoo remove`: delete downloaded weights."""

from __future__ import annotations

import click

from .._command import Command
from .._options import json_option
from ._options import names_argument


@click.command(cls=Command)
@names_argument
@json_option
def remove(names: tuple[str, ...], as_json: bool) -> None:
    """Delete downloaded weights from this machine."""
    from .._columns import aligned
    from ._package import open_zoo
    from ._show import to_json

    with open_zoo() as zoo:
        removed = {name: zoo.remove(name) for name in names}
    if as_json:
        print(to_json(removed))
    else:
        rows = [(name, "removed" if existed else "was not on this machine") for name, existed in removed.items()]
        print("\n".join(aligned(rows)))
