"""Missing fields of stages, found without importing anything that the file names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..config import Document, NodesByKey, is_untagged, pairs
from ..errors import Problem
from ..experiment import Stage
from ..stage_problems import incomplete_stages

NULL_TAG = "tag:yaml.org,2002:null"
_GIVEN: Any = object()  # a value that is not empty, or that is known only when it is built
_FIELDS = [field.name for field in dataclasses.fields(Stage)]


def stage_problems(document: Document) -> Iterator[Problem]:
    """Yield the fields that the stages of a document lack."""
    top = {name: value for name, (_, value) in pairs(document.root).items()}
    stages, data = top.get("stages"), top.get("data")
    if stages is not None and (not isinstance(stages, SequenceNode) or not is_untagged(stages)):
        return
    written = stages.value if stages is not None else []
    tests = "test" in top and top["test"].tag != NULL_TAG
    loaders = pairs(data) if isinstance(data, MappingNode) and is_untagged(data) else ["train"]
    nodes = NodesByKey(document)
    for problem in incomplete_stages([_stage(node) for node in written], loaders, tests=tests):
        yield nodes.located(problem, problem.key)


def _stage(node: Node) -> Stage:
    """Return a stage with the fields that a node sets; a tagged node may set all of them."""
    if not isinstance(node, MappingNode) or not is_untagged(node):
        return Stage(**dict.fromkeys(_FIELDS, _GIVEN))
    return Stage(**{name: _value(value) for name, (_, value) in pairs(node).items() if name in _FIELDS})


def _value(node: Node) -> Any:
    if node.tag == NULL_TAG:
        return None
    if isinstance(node, ScalarNode) and is_untagged(node):
        return node.value or _GIVEN
    is_empty = isinstance(node, MappingNode | SequenceNode) and is_untagged(node) and not node.value
    return [] if is_empty else _GIVEN
