"""Merging of one mapping over another."""

from __future__ import annotations

from yaml import MappingNode, Node

from ._nodes import is_untagged, substitute
from ._overrides import put


def merge_over(below: Node, above: Node) -> Node:
    """Merge `above` into `below` and return the result; anything but two mappings is replaced."""
    if not (isinstance(below, MappingNode) and isinstance(above, MappingNode)):
        return above
    merged: dict[int, Node] = {}
    _merge(below, below, above, merged)
    substitute(below, merged)
    return below


def _merge(root: Node, below: MappingNode, above: MappingNode, merged: dict[int, Node]) -> None:
    merged[id(above)] = below
    indices = {key.value: index for index, (key, _) in enumerate(below.value)}
    for key, value in above.value:
        index = indices.get(key.value)
        if index is None:
            below.value.append((key, value))
            continue
        old = below.value[index][1]
        if isinstance(old, MappingNode) and isinstance(value, MappingNode) and is_untagged(value):
            _merge(root, old, value, merged)
        else:
            put(root, below, index, value, key)
