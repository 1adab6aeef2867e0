"""The two kinds of click commands: a command that ends with an exit code, and a group that imports its commands late."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from ._exit import guarded


class Command(click.Command):
    """A command with `--debug` that prints errors as messages and ends with their exit code."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(click.Option(["--debug"], is_flag=True, help="Show the traceback of every error."))

    def invoke(self, ctx: click.Context) -> None:
        debug = ctx.params.pop("debug")
        ctx.exit(guarded(lambda: super(Command, self).invoke(ctx), debug=debug))


class LazyGroup(click.Group):
    """A group that imports the file of a command when the command is called or listed.

    Args:
        paths: Name of a command → `module:attribute`, the module relative to this package.
    """

    def __init__(self, *args: Any, paths: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.paths = paths

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.paths)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.paths:
            return None
        module, _, attribute = self.paths[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f".{module}", __package__), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # click suggests from the commands that are imported
            raise click.NoSuchCommand(error.command_name, possibilities=self.paths, ctx=ctx) from None
