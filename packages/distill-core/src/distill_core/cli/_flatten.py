"""An experiment as a flat table: dotted key → value."""

from __future__ import annotations

import math
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..config._nodes import STR, children, is_untagged, join, resolve, scalar_value

Leaf = None | bool | int | float | str | list[Any]


def leaves(node: Node, key: str = "") -> dict[str, Leaf]:
    """Every value below a node; what an alias stands for stands at each of its places.

    A tag is the value at its own key and its arguments lie below it; a list of plain values is one value. Keys that
    begin with `_` are left out.

    >>> from distill_core.config._compose import Composer
    >>> text = "{seed: 1, model: !import_call:my.Net {widths: [4, 8]}, more: {}}"
    >>> leaves(Composer(text, "", {}).compose())
    {'seed': 1, 'model': '!import_call:my.Net', 'model.widths': [4, 8], 'more': '{}'}
    """
    if isinstance(node, ScalarNode):
        return {key: _value(node) if is_untagged(node) else f"{node.tag} {node.value}".strip()}
    if isinstance(node, SequenceNode) and is_untagged(node) and all(map(_is_plain, node.value)) and node.value:
        return {key: [_value(item) for item in node.value]}
    found: dict[str, Leaf] = {}
    if not is_untagged(node):
        found[key] = node.tag
    elif not node.value:
        found[key] = "{}" if isinstance(node, MappingNode) else "[]"
    for name, child in children(node):
        if not name.startswith("_"):
            found |= leaves(child, join(key, name))
    return found


def _value(node: ScalarNode) -> Leaf:
    """The value, where JSON has such: infinity stays the text that it is in YAML."""
    value = scalar_value(node)
    return str(node.value) if isinstance(value, float) and not math.isfinite(value) else value


def _is_plain(node: Node) -> bool:
    return isinstance(node, ScalarNode) and is_untagged(node)


def shown(value: Leaf, *, quotes: bool = True) -> str:
    """A value as a file would have it; without `quotes`, `'1'` is not told from `1`.

    >>> [shown(value) for value in (None, True, 1e-05, "kd", "1", [4, None])]
    ['null', 'true', '1e-05', 'kd', "'1'", '[4, null]']
    """
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value) if quotes and isinstance(value, str) and resolve(value) != STR else str(value)
