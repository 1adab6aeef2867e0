"""What a conversion has not read: keys that were not taken, values and tags that nothing was written for."""

from __future__ import annotations

from collections.abc import Iterator

from yaml import MappingNode, SequenceNode

from ._old import LostError, Old, Place

Unread = Iterator[tuple[Place, str]]


def unread(old: Old) -> Unread:
    """Yield each place of which nothing was read, with the reason; keys that begin with `_` only hold anchors."""
    for place, given in old.given:
        yield from ((place, f"'{key}' is not a key that is known here") for key in given.unseen())
    seen: set[int] = set()
    stack = [old.root]
    while stack:
        place = stack.pop()
        if id(place.node) in seen:
            continue
        seen.add(id(place.node))
        is_read = id(place.node) in old.read
        if place.tag and not is_read:
            yield place, f"the tag '{place.tag}' is not applied here"
        if isinstance(place.node, MappingNode):
            yield from _entries(place, stack)
        elif isinstance(place.node, SequenceNode):
            stack += [place.below(node, str(index)) for index, node in enumerate(place.node.value)]
        elif not (is_read or place.is_null or place.tag):
            yield place, "this value is not converted"


def _entries(place: Place, stack: list[Place]) -> Unread:
    """Yield the entries whose keys were not taken, and push the others."""
    try:
        entries = place.raw_entries()
    except LostError as error:
        yield error.place, error.message
        return
    for key, below in entries:
        if key.startswith("_"):
            continue
        if (id(place.node), key) in place.old.taken:
            stack.append(below)
        else:
            yield below, f"'{key}' is not a key that torchdistill reads here"
