"""YAML nodes: their kinds, values and descriptions, and walking over them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from yaml import MappingNode, Node, ScalarNode, SequenceNode

STANDARD = "tag:yaml.org,2002:"
STR, INT, FLOAT, BOOL, NULL = (STANDARD + name for name in ("str", "int", "float", "bool", "null"))
MAP, SEQ = STANDARD + "map", STANDARD + "seq"
SCALARS = (STR, INT, FLOAT, BOOL, NULL)

Scalar = None | bool | int | float | str

_KINDS = {INT: "an integer", FLOAT: "a number", BOOL: "true or false", NULL: "null"}

_CORE = (  # the core schema of YAML 1.2, https://yaml.org/spec/1.2.2/#1032-tag-resolution
    (NULL, re.compile(r"null|Null|NULL|~|")),
    (BOOL, re.compile(r"true|True|TRUE|false|False|FALSE")),
    (INT, re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (FLOAT, re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
)


def resolve_tag(value: str, plain: bool = True) -> str:
    """Return the tag of an untagged scalar, as YAML 1.2 resolves it.

    >>> [resolve_tag(text).rpartition(":")[2] for text in ("1e-4", "no", "1:30", "0o17", "~", "True")]
    ['float', 'str', 'str', 'int', 'null', 'bool']
    """
    if not plain:
        return STR
    return next((tag for tag, pattern in _CORE if pattern.fullmatch(value)), STR)


def scalar_value(node: ScalarNode) -> Scalar:
    """Return the Python value of an untagged scalar.

    Raises:
        ValueError: The text does not match the tag.
    """
    text: str = node.value
    if node.tag == STR:
        return text
    fits = dict(_CORE).get(node.tag)
    if node.tag == FLOAT and resolve_tag(text) == INT:
        return float(int(text, 0) if text[:2] in ("0o", "0x") else text)
    if fits is None or not fits.fullmatch(text):
        message = f"'{text}' is not {_KINDS[node.tag]}"
        raise ValueError(message)
    if node.tag == NULL:
        return None
    if node.tag == BOOL:
        return text.lower() == "true"
    if node.tag == INT:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def describe(node: Node) -> str:
    """Describe a node for a message: `the string 'two'`, `a list`."""
    if not is_untagged(node):
        return shown_tag(node.tag)
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    return describe_value(scalar_value(node)) if isinstance(node, ScalarNode) else "nothing"


def describe_value(value: object) -> str:
    """Describe a built value for a message.

    >>> describe_value("two"), describe_value(None), describe_value(0.5)
    ("the string 'two'", 'null', 'the number 0.5')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = value if len(value) <= 60 else value[:57] + "..."
        return f"the string {text!r}"
    if isinstance(value, (int, float)):
        return f"the {'integer' if isinstance(value, int) else 'number'} {value}"
    kinds: dict[type, str] = {dict: "a mapping", list: "a list", tuple: "a list"}
    return kinds.get(type(value), f"an object of class {type(value).__qualname__}")


def is_untagged(node: Node) -> bool:
    """Return whether the node is ordinary data, without a tag of Distill or an unknown one."""
    return node.tag in (*SCALARS, MAP, SEQ)


def shown_tag(tag: str) -> str:
    """Return a tag as it is written in a file: `!!set` for `tag:yaml.org,2002:set`."""
    return "!!" + tag.removeprefix(STANDARD) if tag.startswith(STANDARD) else tag


def string(node: Node) -> str | None:
    """Return the text of an untagged string node; None for any other node."""
    return node.value if isinstance(node, ScalarNode) and node.tag == STR else None


def pairs(node: Node) -> dict[str, tuple[Node, Node]]:
    """Return the keys of a mapping, each with its node and its value; `_scratch` keys are omitted."""
    if not isinstance(node, MappingNode):
        return {}
    return {key.value: (key, value) for key, value in node.value if not str(key.value).startswith("_")}


def children(node: Node) -> Iterator[tuple[str, Node]]:
    """Yield the values directly below a node, each with its key or index."""
    if isinstance(node, MappingNode):
        yield from ((str(key.value), value) for key, value in node.value)
    elif isinstance(node, SequenceNode):
        yield from ((str(index), value) for index, value in enumerate(node.value))


def join(key: str, segment: str) -> str:
    """Return the key path one level deeper."""
    return f"{key}.{segment}" if key else segment


def walk(root: Node, key: str = "") -> Iterator[tuple[str, Node]]:
    """Yield every node once, in document order, with the first key path that leads to it."""
    seen: set[int] = set()
    stack = [(key, root)]
    while stack:
        key, node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield key, node
        stack += reversed([(join(key, segment), child) for segment, child in children(node)])


def substitute(root: Node, new: Mapping[int, Node]) -> None:
    """Replace every value below `root` whose id is in `new`."""
    for _, node in list(walk(root)):
        if isinstance(node, MappingNode):
            node.value = [(key, new.get(id(value), value)) for key, value in node.value]
        elif isinstance(node, SequenceNode):
            node.value = [new.get(id(value), value) for value in node.value]


def count(number: int, noun: str) -> str:
    """Return a count with its noun.

    >>> count(1, "element"), count(2, "element")
    ('1 element', '2 elements')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def anchor(node: Node) -> str | None:
    """Return the name of the node's anchor, if it has one."""
    return getattr(node, "anchor", None)


def set_anchor(node: Node, name: str | None) -> None:
    """Give the node an anchor (kept by `Document.dump`)."""
    node.anchor = name  # type: ignore[attr-defined]
