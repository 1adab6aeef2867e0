"""Find what keeps the stages of a file from training, without importing what the file names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from yaml import MappingNode, Node, SequenceNode

from ..config import Document, NodesByKey
from ..config._nodes import NULL, is_untagged, pairs
from ..errors import Problem
from ..experiment import Stage, incomplete

_GIVEN: Any = object()  # a value that is neither null nor empty, or that only building would tell
_FIELDS = [field.name for field in dataclasses.fields(Stage)]


def stage_problems(document: Document) -> Iterator[Problem]:
    """Yield what is missing from the stages of a document."""
    top = {name: value for name, (_, value) in pairs(document.root).items()}
    stages, data = top.get("stages"), top.get("data")
    if not isinstance(stages, SequenceNode) or not is_untagged(stages):
        return
    loaders = pairs(data) if isinstance(data, MappingNode) and is_untagged(data) else ["train"]
    nodes = NodesByKey(document)
    for problem in incomplete([_stage(node) for node in stages.value], loaders):
        yield nodes.located(problem, problem.key)


def _stage(node: Node) -> Stage:
    """Return a stage with the fields that a node gives; a node that is not plain may give them all."""
    if not isinstance(node, MappingNode) or not is_untagged(node):
        return Stage(**dict.fromkeys(_FIELDS, _GIVEN))
    return Stage(**{name: _value(value) for name, (_, value) in pairs(node).items() if name in _FIELDS})


def _value(node: Node) -> Any:
    if node.tag == NULL:
        return None
    is_empty = isinstance(node, MappingNode | SequenceNode) and is_untagged(node) and not node.value
    return [] if is_empty else _GIVEN
