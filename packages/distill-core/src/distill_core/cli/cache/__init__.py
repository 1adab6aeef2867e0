"""`distill cache`: build, verify and plan caches of teacher outputs."""

from __future__ import annotations

import click

from .._command import LazyGroup

PATHS = {"build": "cache._build:build", "verify": "cache._verify:verify", "plan": "cache._plan:plan"}


@click.group(cls=LazyGroup, paths=PATHS)
def cache() -> None:
    """Build, verify and plan caches of teacher outputs."""
