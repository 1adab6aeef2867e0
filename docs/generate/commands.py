"""The page of commands, from the declarations of the command line."""

from __future__ import annotations

from collections.abc import Iterator

import click

from distill_core.cli._app import app

from .docstrings import escaped, markdown


def page() -> str:
    """Return the page as Markdown, a section for each command."""
    parts = ["# Commands", "`distill COMMAND --help` prints the same."]
    for name, command in _leaves("distill", app):
        parts += [
            f"## {name}",
            f"```text\n{_usage(name, command)}\n```",
            markdown(command.help or ""),
            *_parameters(command),
        ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    context = click.Context(command, info_name=name)
    for each in command.list_commands(context):
        if inner := command.get_command(context, each):
            yield from _leaves(f"{name} {each}", inner)


def _usage(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    return " ".join([name, *command.collect_usage_pieces(context)])


def _parameters(command: click.Command) -> Iterator[str]:
    for parameter in command.params:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
        if isinstance(parameter, click.Argument):
            names = f"`{parameter.human_readable_name}`"
        yield f"{names}\n: {escaped(getattr(parameter, 'help', None) or '–')}"
