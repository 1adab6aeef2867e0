"""The page of commands, from the declarations of the command line."""

from __future__ import annotations

import re
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
            _options_as_code(markdown(command.help or "")),
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
    context = click.Context(command)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            names, text = parameter.human_readable_name, getattr(parameter, "help", None)
        else:  # `--output DIR`, with its default; None for a hidden option
            names, text = parameter.get_help_record(context) or ("", "")
        if names:
            yield f"`{names}`\n: {_options_as_code(escaped(text or '–'))}"


def _options_as_code(text: str) -> str:
    """Return a text with its options as code."""
    return re.sub(r"(?<![\w`-])--[a-z][a-z-]*", r"`\g<0>`", text)
