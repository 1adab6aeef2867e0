"""`distill zoo info`: the card of weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import click

from .._command import Command
from .._options import json_option
from ._options import name_argument


@click.command(cls=Command)
@name_argument
@json_option
def info(name: str, as_json: bool) -> None:
    """Print the card of weights: metrics, license, recipe, path."""
    from ._package import open_zoo
    from ._show import to_json

    with open_zoo() as zoo:
        card, path = zoo.card(name), zoo.cached(name)
        values = {**dataclasses.asdict(card), "path": str(path) if path else None}
        print(to_json(values) if as_json else "\n".join(_lines(values)))


def _lines(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """Return a line for each value that is not empty."""
    lines: list[str] = []
    for key, value in values.items():
        if value in ("", None, (), {}, []):
            continue
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and isinstance(value[0], Mapping):
            entries = ("  ".join(f"{name} {_text(each[name])}" for name in each if each[name]) for each in value)
            lines += [f"{indent}{key}:", *(f"{indent}  {entry}" for entry in entries)]
        else:
            lines.append(f"{indent}{key}: {_text(value)}")
    return lines


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
