"""The tags of the old format, the text of a YAML node on one line, and nodes that contain themselves."""

from __future__ import annotations

from yaml import MappingNode, Node, SequenceNode

TAGS = (
    "!join",
    "!pathjoin",
    "!expanduser",
    "!abspath",
    "!import_get",
    "!import_call",
    "!import_call_method",
    "!call_method",
    "!getattr",
    "!setattr",
    "!access_by_index_or_key",
)
"""The tags of torchdistill 1.x."""


def flow_text(node: Node) -> str:
    r"""Return a node on one line, with its tag and without its anchors.

    >>> import yaml
    >>> flow_text(yaml.compose("a: !join ['b', &c 'd']\ne: {f: 1}"))
    '{a: !join [b, d], e: {f: 1}}'
    """
    tag = "" if node.tag.startswith("tag:yaml.org,2002:") else f"{node.tag} "
    if isinstance(node, MappingNode):
        pairs = (f"{flow_text(key)}: {flow_text(value)}" for key, value in node.value)
        return f"{tag}{{{', '.join(pairs)}}}"
    if isinstance(node, SequenceNode):
        return f"{tag}[{', '.join(flow_text(value) for value in node.value)}]"
    return f"{tag}{node.value}"


def cycle(node: Node, above: tuple[int, ...] = ()) -> Node | None:
    """Return a node that contains itself, through an alias; None if there is none.

    >>> import yaml
    >>> cycle(yaml.compose("a: &b [*b]")) is None
    False
    """
    if id(node) in above:
        return node
    inner: list[Node] = []
    if isinstance(node, MappingNode):
        inner = [part for pair in node.value for part in pair]
    elif isinstance(node, SequenceNode):
        inner = node.value
    found = (cycle(part, (*above, id(node))) for part in inner)
    return next((one for one in found if one is not None), None)
