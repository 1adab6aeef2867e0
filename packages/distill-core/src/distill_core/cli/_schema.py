"""`distill schema`: what an editor needs to help with an experiment: a JSON Schema, and the tags of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from yaml import MappingNode, Node, SequenceNode

from ..config import json_schema, read
from ..experiment import Experiment
from ._exit import refuse

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
"""What stands behind a tag in its long spelling, in the words of the setting `yaml.customTags`."""


def print_schema(output: Path | None = None, tags: Path | None = None) -> None:
    """Print the JSON Schema of an experiment, or the setting `yaml.customTags` for the tags of one.

    Args:
        output: A file to write instead; what it held is replaced.
        tags: An experiment whose tags are to be listed.

    Raises:
        ConfigError: `output` is a folder, or `tags` cannot be read.
    """
    text = json.dumps(custom_tags(tags) if tags else schema(), indent=1, ensure_ascii=False) + "\n"
    if output is None:
        print(text, end="")
        return
    if output.is_dir():
        refuse(f"{output} is a folder", "give the name of a file")
    output.write_text(text, encoding="utf-8")
    if tags is None:
        print(f"{output}: in the first line of an experiment write\n\n    # yaml-language-server: $schema={output}")


def schema() -> dict[str, object]:
    """The JSON Schema, with what an editor must be told about our tags in its description."""
    made = json_schema(Experiment)
    long = [f"!{tag} {kind}" for kind, names in KINDS.items() for tag in names]
    told = (
        f"Editors know only the tags that their setting `yaml.customTags` lists, each with its whole name: {json.dumps(long)}, "
        'and every short spelling as it stands, such as "!import_call:torch.nn.Linear mapping". '
        "`distill schema --tags FILE` prints the list for a file. What is behind a tag is checked by `distill check`."
    )
    return {**made, "description": f"{made['description']}\n\n{told}"}


def custom_tags(file: Path) -> list[str]:
    """Every tag of an experiment with its kind, bases and includes too: `!import_call:torch.nn.Linear mapping`."""
    return sorted({f"{node.tag} {_kind(node)}" for node in _nodes(read(file).root, set()) if node.tag[:1] == "!"})


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "mapping"
    return "sequence" if isinstance(node, SequenceNode) else "scalar"


def _nodes(node: Node, seen: set[int]) -> Iterator[Node]:
    if id(node) in seen:
        return
    seen.add(id(node))
    yield node
    if isinstance(node, MappingNode):
        for _, value in node.value:
            yield from _nodes(value, seen)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            yield from _nodes(item, seen)
