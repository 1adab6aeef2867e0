"""`distill zoo`: list, download, verify and publish pretrained weights."""

from __future__ import annotations

import click

from .._command import LazyGroup

NAMES = ("list", "info", "download", "path", "verify", "remove", "export", "add")
PATHS = {name: f"zoo._{name}:{name}" for name in NAMES} | {"list": "zoo._list:list_"}


@click.group(cls=LazyGroup, paths=PATHS)
def zoo() -> None:
    """List, download and publish pretrained weights."""
