"""An experiment as a flat mapping: dotted key → value."""

from __future__ import annotations

import math
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..config import children, is_untagged, join, resolve_tag, scalar_value

STRING_TAG = "tag:yaml.org,2002:str"

Leaf = None | bool | int | float | str | list[Any]


def leaves(node: Node, key: str = "") -> dict[str, Leaf]:
    """Return every value below a node by its key; the target of an alias is repeated at each alias.

    A tag is the value of its key, and its arguments are below it. A list of plain values is one value. Keys that begin
    with `_` are omitted.

    >>> import yaml
    >>> leaves(yaml.compose("{seed: 1, model: !import_call:my.Net {widths: [4, 8]}, more: {}}"))
    {'seed': 1, 'model': '!import_call:my.Net', 'model.widths': [4, 8], 'more': '{}'}
    """
    if isinstance(node, ScalarNode):
        return {key: _value(node) if is_untagged(node) else f"{node.tag} {node.value}".strip()}
    if isinstance(node, SequenceNode) and is_untagged(node) and all(map(_is_plain, node.value)) and node.value:
        return {key: [_value(item) for item in node.value]}
    values: dict[str, Leaf] = {}
    if not is_untagged(node):
        values[key] = node.tag
    elif not node.value:
        values[key] = "{}" if isinstance(node, MappingNode) else "[]"
    for name, child in children(node):
        if not name.startswith("_"):
            values |= leaves(child, join(key, name))
    return values


def _value(node: ScalarNode) -> Leaf:
    """Return the value; infinity and NaN, which JSON lacks, as the text of the YAML file."""
    value = scalar_value(node)
    return str(node.value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_plain(node: Node) -> bool:
    return isinstance(node, ScalarNode) and is_untagged(node)


def to_yaml(value: Leaf, *, quotes: bool = True) -> str:
    """Return a value as YAML; without `quotes`, the string `'1'` and the number `1` look the same.

    >>> [to_yaml(value) for value in (None, True, 1e-05, "kd", "1", [4, None])]
    ['null', 'true', '1e-05', 'kd', "'1'", '[4, null]']
    """
    if isinstance(value, list):
        return f"[{', '.join(map(to_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if quotes and isinstance(value, str) and resolve_tag(value) != STRING_TAG else str(value)
