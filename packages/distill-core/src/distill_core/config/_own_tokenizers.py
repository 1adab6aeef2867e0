"""Expansion of `sources: {teacher: {tokenizer: FOLDER}}`: the data tokenise for the model too, and it is fed those tokens.

The document then says what could have been written by hand: `tokenizers: {teacher: FOLDER}` of each data function, and
`batch.teacher_input_ids` in `feed.teacher`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Problem
from ._nodes import MAP, STR, is_untagged, pairs, scalar_value, set_anchor, string, walk
from ._problems import RefusedError, located
from ._signatures import of_definition
from ._spellings import imported
from ._targets import locate

FIELDS = ("input_ids", "attention_mask", "token_type_ids", "position_ids", "mask")
"""Fields of a batch that follow from the tokenizer."""


@dataclass(frozen=True)
class _Own:
    """The tokenizer of a model, with the nodes of the file."""

    model: str
    tokenizer: Node
    max_length: Node | None


def expand_tokenizers(root: MappingNode, sources: Mapping[str, str]) -> list[Problem]:
    """Expand the tokenizers of `sources` in place and return the problems.

    Args:
        root: The root of a document; a document that is expanded already does not change.
        sources: The texts of its files, for the lines shown with problems.
    """
    problems: list[Problem] = []
    for own in _tokenizers(root):
        calls = [call for node in _below(root, "data", "loader") if (call := _data_call(node))]
        found = [problem for call in calls for problem in _tokenise(call, own)]
        if not calls:
            message = f"no data of this file have a `tokenizer`, so '{own.model}' cannot have another one"
            found = [Problem(message, id="tokenizer-without-texts")]
        key = f"sources.{own.model}.tokenizer"
        problems += [located(problem, own.tokenizer.start_mark, sources, key) for problem in found]
        for feed in _values(root, "feed"):
            _read_own_fields(feed, own.model)
    return problems


def _tokenizers(root: MappingNode) -> Iterator[_Own]:
    """Yield the tokenizers of `sources`; the check refuses values that are not paths."""
    models = pairs(pairs(root)["sources"][1]) if "sources" in pairs(root) else {}
    for model, (_, settings) in models.items():
        given = {name: value for name, (_, value) in pairs(settings).items()}
        tokenizer = given.get("tokenizer")
        if tokenizer is not None and (string(tokenizer) is not None or not is_untagged(tokenizer)):
            length = given.get("max_length")
            is_default = isinstance(length, ScalarNode) and scalar_value(length) is None
            yield _Own(model, tokenizer, None if is_default else length)


def _values(root: MappingNode, *names: str) -> list[Node]:
    """Return the values of these keys at any depth, each once."""
    found = [value for _, node in walk(root) for name, (_, value) in pairs(node).items() if name in names]
    return list({id(value): value for value in found}.values())


def _below(root: MappingNode, *names: str) -> list[Node]:
    """Return every node in the values of these keys, each once."""
    found = [node for value in _values(root, *names) for _, node in walk(value)]
    return list({id(node): node for node in found}.values())


def _data_call(node: Node) -> tuple[str, MappingNode] | None:
    """Return the path and the named arguments of a call that tokenises texts; None for any other node."""
    call = imported(node)
    if call is None or "tokenizer" not in call.kwargs:
        return None
    given = call.kwargs["tokenizer"]
    arguments = (each for _, each in walk(node) if pairs(each).get("tokenizer") == given)
    return call.path, next(each for each in arguments if isinstance(each, MappingNode))


def _tokenise(call: tuple[str, MappingNode], own: _Own) -> Iterator[Problem]:
    """Add the tokenizer to the call of a data function; yield a problem if the function does not take it."""
    path, arguments = call
    try:
        found = locate(path, (), registering=False)
    except RefusedError:
        return  # the check reports it
    signature = of_definition(found) if found else None
    known = {parameter.name for parameter in signature.parameters} if signature else set()
    if "tokenizers" in known:
        yield from _add(_inner(arguments, "tokenizers", own), own.model, own.tokenizer, f"tokenizers of {path}()")
    elif "teacher_tokenizer" in known and own.model == "teacher":
        yield from _add(arguments, "teacher_tokenizer", own.tokenizer, f"{path}()")
    else:
        message = f"{path}() does not tokenise for several models"
        yield Problem(message, hint="use data with `tokenizers`", id="one-tokenizer")
        return
    if own.max_length is not None and "max_lengths" in known:
        yield from _add(_inner(arguments, "max_lengths", own), own.model, own.max_length, f"max_lengths of {path}()")
    elif own.max_length is not None:
        message = f"{path}() truncates the texts of all models at the same length"
        yield Problem(message, hint="omit `max_length`", id="one-max-length")


def _inner(arguments: MappingNode, name: str, own: _Own) -> MappingNode:
    """Return an argument that is a mapping; an empty one is added if it is missing."""
    given = pairs(arguments).get(name)
    if given is not None:
        return given[1] if isinstance(given[1], MappingNode) else MappingNode(MAP, [])  # the check refuses the value
    start, end = own.tokenizer.start_mark, own.tokenizer.end_mark
    added = MappingNode(MAP, [], start, end, flow_style=True)
    arguments.value.append((_scalar(name, own.tokenizer), added))
    return added


def _add(arguments: MappingNode, name: str, value: Node, owner: str) -> Iterator[Problem]:
    """Add an argument; yield a problem if it is given with another value."""
    given = pairs(arguments).get(name)
    if given is None:
        arguments.value.append((_scalar(name, value), _copy(value)))
    elif (given[1].tag, given[1].value) != (value.tag, value.value):
        message = f"`{name}` in {owner} has another value"
        yield Problem(message, hint="give it in one place", id="tokenizer-twice")


def _copy(node: Node) -> Node:
    """Return a copy of a scalar, and any other node itself."""
    if not isinstance(node, ScalarNode):
        return node
    return ScalarNode(node.tag, node.value, node.start_mark, node.end_mark, style=node.style)


def _scalar(text: str, at: Node) -> ScalarNode:
    """Return a string at the position of another node."""
    return ScalarNode(STR, text, at.start_mark, at.end_mark)


def _read_own_fields(feed: Node, model: str) -> None:
    """Let a model read its own tokens in the feeds of all models."""
    if isinstance(feed, MappingNode):
        feed.value = [(key, _own_fields(value, model) if key.value == model else value) for key, value in feed.value]


def _own_fields(node: Node, model: str) -> Node:
    """Return a copy of a wiring that reads the fields of the model's tokenizer."""
    if isinstance(node, ScalarNode):
        source, _, name = node.value.partition(".")
        is_token = source == "batch" and name in FIELDS
        return _scalar(f"batch.{model}_{name}", node) if is_token else node
    copied = copy.copy(node)
    set_anchor(copied, None)
    if isinstance(copied, MappingNode):
        copied.value = [(_copy(key), _own_fields(value, model)) for key, value in copied.value]
    elif isinstance(copied, SequenceNode):
        copied.value = [_own_fields(value, model) for value in copied.value]
    return copied
