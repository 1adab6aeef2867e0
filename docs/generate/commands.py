"""The page of commands, from the declarations of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from distill_core.cli._app import app

from .docstrings import escaped, markdown


def page() -> str:
    """Return the page as Markdown, a section for each command."""
    parts = ["# Commands", "`distill COMMAND --help` prints the same."]
    for name, command in _leaves("distill", typer.main.get_command(app)):
        parts += [
            f"## {name}",
            f"```text\n{_usage(name, command)}\n```",
            markdown(command.help or ""),
            *_parameters(command),
        ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield name, command
        return
    context = command.context_class(command, info_name=name)
    for each in command.list_commands(context):
        yield from _leaves(f"{name} {each}", command.get_command(context, each))


def _usage(name: str, command: Any) -> str:
    context = command.context_class(command, info_name=name)
    return " ".join([name, *command.collect_usage_pieces(context)])


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        names = ", ".join(f"`{name}`" for name in parameter.opts)
        if parameter.param_type_name == "argument":
            names = f"`{parameter.metavar or parameter.name.upper()}`"
        yield f"{names}\n: {escaped(getattr(parameter, 'help', None) or '–')}"
