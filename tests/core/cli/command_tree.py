"""Every command of `distill`, read from the command line itself."""

from __future__ import annotations

import click

from distill_core.cli._app import app


def commands(group: click.Group = app, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Return (words, command) for every command below a group, without the groups themselves."""
    tree = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        path = (*words, name)
        tree += commands(command, path) if isinstance(command, click.Group) else [(path, command)]
    return tree
