"""`distill zoo path`: the paths of downloaded weights."""

from __future__ import annotations

import click

from ...errors import DistillError
from .._command import Command
from .._options import json_option
from ._options import names_argument


@click.command(cls=Command)
@names_argument
@json_option
def path(names: tuple[str, ...], as_json: bool) -> None:
    """Print the paths of weights on this machine; download nothing."""
    from ._package import open_zoo
    from ._show import show_paths

    with open_zoo() as zoo:
        paths = {name: zoo.cached(name) for name in names}
    show_paths({name: path for name, path in paths.items() if path}, as_json=as_json)
    if missing := [name for name, path in paths.items() if not path]:
        message = f"not on this machine: {', '.join(missing)}"
        raise DistillError(message, hint=f"distill zoo download {' '.join(missing)}")
