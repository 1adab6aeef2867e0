"""`distill schema`: a JSON Schema and YAML tags for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .._command import Command
from .._exit import refuse
from .._options import PATH

if TYPE_CHECKING:
    from yaml import Node

KINDS = {
    "mapping": (
        "import_call",
        "import_partial",
        "import_get",
        "import_call_method",
        "call_method",
        "access_by_index_or_key",
    ),
    "sequence": ("getattr", "setattr", "join", "pathjoin"),
    "scalar": ("expanduser", "abspath", "include"),
}
"""Node kind of each tag in its long spelling, as in the setting `yaml.customTags`."""


@click.command(cls=Command)
@click.option("--output", metavar="FILE", type=PATH, help="Write to FILE instead of standard output.")
@click.option("--tags", metavar="FILE", type=PATH, help="Print the editor setting yaml.customTags for this experiment.")
def schema(output: Path | None, tags: Path | None) -> None:
    """Print the JSON Schema of experiments, for editors."""
    print_schema(output, tags)


def print_schema(output: Path | None = None, tags: Path | None = None) -> None:
    """Print the JSON Schema of an experiment, or the setting `yaml.customTags` for the tags of one.

    Args:
        output: A file to write instead; its content is replaced.
        tags: An experiment whose tags to list.

    Raises:
        ConfigError: `output` is a folder, or `tags` cannot be read.
    """
    text = json.dumps(custom_tags(tags) if tags else json_schema(), indent=1, ensure_ascii=False) + "\n"
    if output is None:
        print(text, end="")
        return
    if output.is_dir():
        refuse(f"{output} is a folder", "name a file")
    output.write_text(text, encoding="utf-8")
    if tags is None:
        print(
            f"{output} written; add as the first line of an experiment:\n\n    # yaml-language-server: $schema={output}"
        )


def json_schema() -> dict[str, object]:
    """Return the JSON Schema, with the editor setting for our tags in its description."""
    from ... import config
    from ...experiment import Experiment

    schema = config.json_schema(Experiment)
    long = [f"!{tag} {kind}" for kind, names in KINDS.items() for tag in names]
    setting = (
        f"Editors accept only the tags that their setting `yaml.customTags` lists with their full names: {json.dumps(long)}, "
        'and every short spelling as written, such as "!import_call:torch.nn.Linear mapping". '
        "`distill schema --tags FILE` prints the list for a file. `distill check` validates the arguments of tags."
    )
    return {**schema, "description": f"{schema['description']}\n\n{setting}"}


def custom_tags(file: Path) -> list[str]:
    """Return every tag of an experiment, its bases and includes, with its kind: `!import_call:torch.nn.Linear mapping`."""
    from ...config import read

    return sorted({f"{node.tag} {_kind(node)}" for node in _nodes(read(file).root, set()) if node.tag[:1] == "!"})


def _kind(node: Node) -> str:
    return type(node).__name__.removesuffix("Node").lower()


def _nodes(node: Node, seen: set[int]) -> Iterator[Node]:
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for child in node.value if isinstance(node.value, list) else ():
        yield from _nodes(child[1] if isinstance(child, tuple) else child, seen)
