"""Lossless serialization of nodes to YAML: tags and anchors are kept, and the text builds the same objects."""

from __future__ import annotations

import yaml
from yaml import Node, ScalarNode, SequenceNode

from ._nodes import MAP, SEQ, anchor, resolve_tag


class _Dumper(yaml.SafeDumper):
    """Writes scalars so that YAML 1.2 reads them back, and keeps the names of anchors."""

    def resolve(self, kind: type[Node], value: str | None, implicit: object) -> str:
        if kind is ScalarNode:
            plain = implicit[0] if isinstance(implicit, tuple) else implicit
            return resolve_tag(value or "", plain=bool(plain))
        return SEQ if kind is SequenceNode else MAP

    def choose_scalar_style(self) -> str:
        """Quote and escape characters that PyYAML reads as line breaks."""
        if any(character in getattr(self.event, "value", "") for character in "\x85\u2028\u2029"):
            return '"'
        style: str = super().choose_scalar_style()
        return style

    def anchor_node(self, node: Node) -> None:
        known = node in self.anchors
        super().anchor_node(node)
        if not known and anchor(node) is not None:
            self.anchors[node] = self.generate_anchor(node)

    def generate_anchor(self, node: Node) -> str:
        taken = {name for name in self.anchors.values() if name}
        wanted = anchor(node) or "shared"
        name, number = wanted, 2
        while name in taken:
            name, number = f"{wanted}_{number}", number + 1
        return name

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - lists are indented
        super().increase_indent(flow, False)


def dump(root: Node) -> str:
    """Return the graph below `root` as one YAML document."""
    text: str = yaml.serialize(root, Dumper=_Dumper, width=120, allow_unicode=True)
    return text
