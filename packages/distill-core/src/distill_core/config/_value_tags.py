"""The tags that access an object or join strings."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from yaml import Node, ScalarNode

from ..errors import Problem
from ._guard import judge, judge_values
from ._imports import attribute
from ._nodes import NULL, resolve_tag, scalar_value
from ._problems import TagError
from ._refusals import definition_refused, object_refused
from ._tags import Tagged
from .policy import is_allowed


class Builds(Protocol):
    """The parts of a builder that these tags use."""

    trust: tuple[str, ...]

    def build(self, node: Node) -> Any:
        """Return the object of a node."""
        ...

    def noted(self, doing: str, node: Node, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function; an exception gets a note with the location of the node."""
        ...


def _name(builder: Builds, tagged: Tagged) -> str:
    name = builder.build(tagged.name) if isinstance(tagged.name, Node) else tagged.name
    if not isinstance(name, str):
        raise TagError(tagged.at, Problem(f"'!{tagged.tag}' takes the name of an attribute", id="attribute-name"))
    return name


def get_attribute(builder: Builds, tagged: Tagged) -> Any:
    """Return an attribute of an object (`!getattr`)."""
    owner, *default = [builder.build(node) for node in tagged.operands]
    return attribute(owner, _name(builder, tagged), builder.trust, *default)


def set_attribute(builder: Builds, tagged: Tagged) -> Any:
    """Set an attribute and return the object (`!setattr`)."""
    owner, value = [builder.build(node) for node in tagged.operands]
    name = _name(builder, tagged)
    if isinstance(owner, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)):
        raise definition_refused()
    attribute(owner, name, builder.trust, None)
    judge_values([value], {name: value})
    builder.noted(f"setting '{name}'", tagged.node, setattr, owner, name, value)
    return owner


def access(builder: Builds, tagged: Tagged) -> Any:
    """Return an element of a collection (`!access_by_index_or_key`)."""
    data = builder.build(tagged.operands[0])
    if isinstance(tagged.name, Node):
        key = builder.build(tagged.name)
    else:
        plain = ScalarNode(resolve_tag(tagged.name), tagged.name)
        key = scalar_value(plain) if plain.tag != NULL else tagged.name
    cls = type(data)
    kind = f"{cls.__module__}.{cls.__qualname__}"
    if not (kind.startswith("builtins.") or is_allowed(kind, builder.trust)) and not isinstance(data, type):
        raise object_refused(kind)
    value = builder.noted(f"reading {key!r}", tagged.node, lambda: data[key])
    judge(f"{kind}[{key!r}]", value, builder.trust)
    return value


def join(builder: Builds, tagged: Tagged) -> str:
    """Return the joined strings (`!join`)."""
    return "".join(_strings(builder, tagged))


def pathjoin(builder: Builds, tagged: Tagged) -> str:
    """Return the joined path with `~` expanded (`!pathjoin`)."""
    return os.path.expanduser(os.path.join(*_strings(builder, tagged)))  # noqa: PTH111, PTH118 - strings, as in torchdistill


def _strings(builder: Builds, tagged: Tagged) -> list[str]:
    values = [builder.build(node) for node in tagged.operands]
    for node, value in zip(tagged.operands, values, strict=True):
        if not isinstance(value, (str, int, float, type(None))):
            raise TagError(node, Problem(f"'!{tagged.tag}' takes strings and numbers", id="join-element"))
    return [str(value) for value in values]


def expanduser(_: Builds, tagged: Tagged) -> str:
    """Return a path with `~` expanded (`!expanduser`)."""
    return os.path.expanduser(str(tagged.name))  # noqa: PTH111


def abspath(_: Builds, tagged: Tagged) -> str:
    """Return the absolute path (`!abspath`)."""
    return os.path.abspath(str(tagged.name))  # noqa: PTH100


VALUE_TAGS: Mapping[str, Callable[[Builds, Tagged], Any]] = {
    "getattr": get_attribute,
    "setattr": set_attribute,
    "access_by_index_or_key": access,
    "join": join,
    "pathjoin": pathjoin,
    "expanduser": expanduser,
    "abspath": abspath,
}
"""The function behind each of these tags."""
