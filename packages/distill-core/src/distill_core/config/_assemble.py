"""Assembly of one document from its files: bases, includes and overrides.

`base: other.yaml` (or a list of files) at the top of a file merges this file over the others. `!include part.yaml`
is replaced by the root of that file. Both paths are relative to the file that contains them.

Merging combines mappings key by key and replaces everything else. A mapping with a tag replaces; a mapping without a
tag keeps the tag of the base, so `optimizer: {lr: 0.2}` changes one argument. Replacing a node at its anchor replaces it
for every alias too. A key with dots beside `base` changes one element, as an override on the command line does:
`stages.0.epochs: 2`, `stages.-1: {epochs: 2}`, `+stages.0.clip_grad_norm: 1.0`, `~stages.0.scheduler: null`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Location, Problem, nearest
from ._compose import MAX_BYTES, MAX_DEPTH, MAX_NODES, Composer
from ._nodes import MAP, NULL, children, describe, is_untagged, string, substitute, walk
from ._overrides import Override, OverrideError, apply, find_node, put
from ._problems import located

MAX_FILES = 100


@dataclass
class Assembly:
    """The files being read, and their problems."""

    sources: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    files: int = 0

    def load(self, name: str, origin: Node | None) -> Node | None:
        """Return the root of a file, with bases and includes applied; None if it cannot be read."""
        identity = os.path.realpath(name)
        self.files += 1
        if identity in self.open:
            message = f"'{name}' includes itself: {' → '.join(self._chain(identity))}"
            self._refuse(origin, Problem(message, id="include-cycle"))
            return None
        if self.files > MAX_FILES:
            self._refuse(origin, Problem(f"more than {MAX_FILES} files are included", id="too-many-files"))
            return None
        text = self._text(name, origin)
        if text is None:
            return None
        self.open.append(identity)
        try:
            return self._complete(self.compose(text, name, text), str(Path(name).parent), origin)
        finally:
            self.open.pop()

    def _chain(self, identity: str) -> list[str]:
        return [Path(name).name for name in (*self.open[self.open.index(identity) :], identity)]

    def compose(self, text: str, name: str, source: str) -> Node | None:
        """Return the root of a text; `source` is the text that problems show."""
        self.sources[name] = source
        composer = Composer(text, name, self.sources)
        root = composer.compose()
        self.problems += composer.problems
        if root is None and not composer.problems:
            self.problems.append(Problem("the file is empty", Location(name, 1, 1), id="file-empty"))
        return root

    def _text(self, name: str, origin: Node | None) -> str | None:
        path = Path(name)
        if not path.is_file():
            try:
                siblings = sorted(sibling.name for sibling in path.parent.iterdir())
            except OSError:
                siblings = []
            close = nearest(path.stem, [Path(sibling).stem for sibling in siblings])  # suffixes are alike
            named = next((sibling for sibling in siblings if close and Path(sibling).stem == close), "")
            hint = f"did you mean '{named}'?" if named else ""
            self._refuse(origin, Problem(f"there is no file '{name}'", hint=hint, id="file-missing"))
            return None
        try:
            raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        except OSError as error:
            self._refuse(origin, Problem(f"'{name}' cannot be read: {error.strerror}", id="file-unreadable"))
            return None
        if raw is None:
            self._refuse(origin, Problem(f"'{name}' is larger than {MAX_BYTES} bytes", id="file-too-large"))
            return None
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"'{name}' is not UTF-8 text (byte {error.start})"
            self._refuse(origin, Problem(message, hint="save it as UTF-8", id="not-utf-8"))
            return None

    def _complete(self, root: Node | None, folder: str, origin: Node | None) -> Node | None:
        """Replace includes, then merge the file over its bases."""
        if root is None:
            return None
        included: dict[int, Node] = {}
        for _, node in list(walk(root)):
            if node.tag == "!include" or node.tag.startswith("!include:"):
                new = self._include(node, folder)
                included[id(node)] = new if new is not None else ScalarNode(NULL, "", node.start_mark, node.end_mark)
        substitute(root, included)
        root = included.get(id(root), root)
        root = self._merge_over_bases(root, folder)
        if root is not None and (excess := _excess(root)):
            self._refuse(origin or root, excess)
            return None
        return root

    def _include(self, node: Node, folder: str) -> Node | None:
        name = node.value if isinstance(node, ScalarNode) and node.tag == "!include" else None
        if not name:
            message = "'!include' takes the path of a file"
            self._refuse(node, Problem(message, hint="write '!include part.yaml'", id="include-form"))
            return None
        return self.load(os.path.normpath(Path(folder, name)), node)

    def _merge_over_bases(self, root: Node, folder: str) -> Node | None:
        if not (isinstance(root, MappingNode) and root.tag == MAP):
            return root
        found = [value for key, value in root.value if key.value == "base"]
        if not found:
            return root
        root.value = [(key, value) for key, value in root.value if key.value != "base"]
        names = found[0].value if isinstance(found[0], SequenceNode) else found
        below: Node | None = None
        for node in names:
            if (name := string(node)) is None:
                message = f"'base' takes the path of a file or a list of them, not {describe(node)}"
                self._refuse(node, Problem(message, id="base-form"))
                continue
            loaded = self.load(os.path.normpath(Path(folder, name)), node)
            if loaded is not None and not isinstance(loaded, MappingNode):
                self._refuse(node, Problem(f"the base '{name}' is not a mapping", id="base-not-mapping"))
            elif isinstance(loaded, MappingNode):
                below = loaded if below is None else _merge_over(below, loaded)
        if below is None:
            return root
        elements = [(key, value) for key, value in root.value if "." in key.value]
        root.value = [(key, value) for key, value in root.value if "." not in key.value]
        merged = _merge_over(below, root)
        if isinstance(merged, MappingNode):
            for key, value in elements:
                self._change(merged, key, value)
        return merged

    def _change(self, root: MappingNode, key: ScalarNode, value: Node) -> None:
        """Apply a key with dots, which is the path of an element of the base."""
        try:
            removes = key.value.startswith("~") and value.tag == NULL
            parsed = Override.parse(key.value if removes else f"{key.value}=")
            override = replace(parsed, text=key.value)
            old = find_node(root, override) if parsed.action == "=" and is_untagged(value) else None
            if isinstance(value, MappingNode) and isinstance(old, MappingNode):
                _merge_over(old, value)
            else:
                apply(root, override, None if removes else value)
        except OverrideError as error:
            self._refuse(key, error.problem)

    def override(self, root: MappingNode, text: str, number: int) -> None:
        """Apply one override; its problems are located on the command line."""
        name = f"<override {number}>"
        self.sources[name] = text
        try:
            override = Override.parse(text)
            value: Node | None = None
            if override.value is not None:
                indent = " " * override.value_column
                value = self.compose(indent + (override.value or "null"), name, text)
                value = self._complete(value, "", None)
                if value is None:
                    return
            apply(root, override, value)
        except OverrideError as error:
            self._refuse_override(text, error.problem, error.column)
        if excess := _excess(root):
            self._refuse_override(text, excess, 0)

    def _refuse_override(self, text: str, problem: Problem, column: int) -> None:
        self.problems.append(replace(problem, location=Location("command line", 1, column + 1), source=text))

    def _refuse(self, node: Node | None, problem: Problem) -> None:
        self.problems.append(problem if node is None else located(problem, node.start_mark, self.sources))


def _merge_over(below: Node, above: Node) -> Node:
    """Merge `above` into `below` and return the result; anything but two mappings is replaced."""
    if not (isinstance(below, MappingNode) and isinstance(above, MappingNode)):
        return above
    merged: dict[int, Node] = {}
    _merge_into(below, below, above, merged)
    substitute(below, merged)
    return below


def _merge_into(root: Node, below: MappingNode, above: MappingNode, merged: dict[int, Node]) -> None:
    merged[id(above)] = below
    indices = {key.value: index for index, (key, _) in enumerate(below.value)}
    for key, value in above.value:
        index = indices.get(key.value)
        if index is None:
            below.value.append((key, value))
            continue
        old = below.value[index][1]
        if isinstance(old, MappingNode) and isinstance(value, MappingNode) and is_untagged(value):
            _merge_into(root, old, value, merged)
        else:
            put(root, below, index, value, key)


def _excess(root: Node) -> Problem | None:
    """Return a problem if a document is too large or too deep."""
    known: dict[int, tuple[int, int]] = {}

    def extent(node: Node) -> tuple[int, int]:
        if id(node) not in known:
            below = [extent(child) for _, child in children(node)]
            size = 1 + sum(size for size, _ in below) + (len(below) if isinstance(node, MappingNode) else 0)
            known[id(node)] = (size, 1 + max((depth for _, depth in below), default=-1))
        return known[id(node)]

    size, depth = extent(root)
    if depth > MAX_DEPTH:
        return Problem(f"nested more than {MAX_DEPTH} levels deep with its includes", id="includes-too-deep")
    if size > MAX_NODES:
        return Problem(f"more than {MAX_NODES} nodes with its includes", id="includes-too-large")
    return None
