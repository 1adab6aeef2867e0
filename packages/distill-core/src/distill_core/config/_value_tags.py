"""The tags that reach into an object or put texts together."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from yaml import Node, ScalarNode

from ._guard import UntrustedError, judge, judge_values
from ._imports import attribute
from ._nodes import NULL, resolve, scalar_value
from ._policy import is_allowed
from ._tags import TagError, Tagged


class Builds(Protocol):
    """What these tags need of a builder."""

    trust: tuple[str, ...]

    def build(self, node: Node) -> Any:
        """The object of a node."""
        ...

    def noted(self, doing: str, node: Node, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call, and tell an exception where in the file it comes from."""
        ...


def _name(builder: Builds, tagged: Tagged) -> str:
    name = builder.build(tagged.name) if isinstance(tagged.name, Node) else tagged.name
    if not isinstance(name, str):
        raise TagError(tagged.at, f"'!{tagged.tag}' takes the name of an attribute")
    return name


def get_attribute(builder: Builds, tagged: Tagged) -> Any:
    """`!getattr`: an attribute of an object."""
    owner, *default = [builder.build(node) for node in tagged.operands]
    return attribute(owner, _name(builder, tagged), builder.trust, *default)


def set_attribute(builder: Builds, tagged: Tagged) -> Any:
    """`!setattr`: the object, changed."""
    owner, value = [builder.build(node) for node in tagged.operands]
    name = _name(builder, tagged)
    if isinstance(owner, (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)):
        message = "'!setattr' changes objects, not classes, functions or modules"
        raise UntrustedError(message)
    attribute(owner, name, builder.trust, None)
    judge_values([value], {name: value})
    builder.noted(f"setting '{name}'", tagged.node, setattr, owner, name, value)
    return owner


def access(builder: Builds, tagged: Tagged) -> Any:
    """`!access_by_index_or_key`: an element."""
    data = builder.build(tagged.operands[0])
    if isinstance(tagged.name, Node):
        key = builder.build(tagged.name)
    else:
        plain = ScalarNode(resolve(tagged.name), tagged.name)
        key = scalar_value(plain) if plain.tag != NULL else tagged.name
    cls = type(data)
    kind = f"{cls.__module__}.{cls.__qualname__}"
    if not (kind.startswith("builtins.") or is_allowed(kind, builder.trust)) and not isinstance(data, type):
        message = f"an object of class {kind} is outside the trusted packages"
        raise UntrustedError(message)
    value = builder.noted(f"reading {key!r}", tagged.node, lambda: data[key])
    judge(f"{kind}[{key!r}]", value, builder.trust)
    return value


def join(builder: Builds, tagged: Tagged) -> str:
    """`!join`: one text."""
    return "".join(_texts(builder, tagged))


def pathjoin(builder: Builds, tagged: Tagged) -> str:
    """`!pathjoin`: one path, `~` expanded."""
    return os.path.expanduser(os.path.join(*_texts(builder, tagged)))  # noqa: PTH111, PTH118 - texts, as in torchdistill


def _texts(builder: Builds, tagged: Tagged) -> list[str]:
    values = [builder.build(node) for node in tagged.operands]
    for node, value in zip(tagged.operands, values, strict=True):
        if not isinstance(value, (str, int, float, type(None))):
            raise TagError(node, f"'!{tagged.tag}' takes texts and numbers")
    return [str(value) for value in values]


def expanduser(_: Builds, tagged: Tagged) -> str:
    """`!expanduser`: a path, `~` expanded."""
    return os.path.expanduser(str(tagged.name))  # noqa: PTH111


def abspath(_: Builds, tagged: Tagged) -> str:
    """`!abspath`: an absolute path."""
    return os.path.abspath(str(tagged.name))  # noqa: PTH100


REACH: Mapping[str, Callable[[Builds, Tagged], Any]] = {
    "getattr": get_attribute,
    "setattr": set_attribute,
    "access_by_index_or_key": access,
    "join": join,
    "pathjoin": pathjoin,
    "expanduser": expanduser,
    "abspath": abspath,
}
"""What each of these tags does."""
