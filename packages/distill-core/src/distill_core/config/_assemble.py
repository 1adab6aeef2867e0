"""The files of one document put together: bases below, includes in place, overrides on top.

`base: other.yaml` (or a list of files) at the top of a file: this file laid over the others. `!include part.yaml`
anywhere: the root of that file. Both paths are relative to the file that names them.

Laid over means: mappings are merged key by key, everything else is replaced. A mapping with a tag of its own replaces;
one without a tag keeps the tag below it, so `optimizer: {lr: 0.2}` changes one argument. What is replaced where its
anchor stands is replaced for every alias too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import Location, Problem, did_you_mean
from ._compose import MAX_BYTES, MAX_DEPTH, MAX_NODES, Composer
from ._merge import lay_over
from ._nodes import MAP, NULL, children, describe, problem_at, string, substitute, walk
from ._overrides import Override, apply

MAX_FILES = 100


@dataclass
class Assembly:
    """The files being read, and what is wrong with them."""

    sources: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    files: int = 0

    def load(self, name: str, origin: Node | None) -> Node | None:
        """The root of a file, complete; None if it cannot be read."""
        identity = os.path.realpath(name)
        self.files += 1
        if identity in self.open:
            self._refuse(origin, f"'{name}' leads back to itself: {' → '.join(self._chain(identity))}")
            return None
        if self.files > MAX_FILES:
            self._refuse(origin, f"more than {MAX_FILES} files are included")
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
        """The root of a text; `source` is what is shown of it."""
        self.sources[name] = source
        composer = Composer(text, name, self.sources)
        root = composer.compose()
        self.problems += composer.problems
        if root is None and not composer.problems:
            self.problems.append(Problem("the file is empty", Location(name, 1, 1)))
        return root

    def _text(self, name: str, origin: Node | None) -> str | None:
        path = Path(name)
        if not path.is_file():
            try:
                siblings = sorted(sibling.name for sibling in path.parent.iterdir())
            except OSError:
                siblings = []
            hint = did_you_mean(path.name, siblings)
            self._refuse(origin, f"there is no file '{name}'", hint if hint.startswith("did") else "")
            return None
        try:
            raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        except OSError as error:
            self._refuse(origin, f"'{name}' cannot be read: {error.strerror}")
            return None
        if raw is None:
            self._refuse(origin, f"'{name}' is larger than {MAX_BYTES} bytes")
            return None
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self._refuse(origin, f"'{name}' is not UTF-8 text (byte {error.start})", "save it as UTF-8")
            return None

    def _complete(self, root: Node | None, folder: str, origin: Node | None) -> Node | None:
        """Put the includes in, then lay the file over its bases."""
        if root is None:
            return None
        included: dict[int, Node] = {}
        for _, node in list(walk(root)):
            if node.tag == "!include" or node.tag.startswith("!include:"):
                new = self._include(node, folder)
                included[id(node)] = new if new is not None else ScalarNode(NULL, "", node.start_mark, node.end_mark)
        substitute(root, included)
        root = included.get(id(root), root)
        root = self._lay_over_bases(root, folder)
        if root is not None and (excess := _excess(root, {})):
            self._refuse(origin or root, excess)
            return None
        return root

    def _include(self, node: Node, folder: str) -> Node | None:
        name = node.value if isinstance(node, ScalarNode) and node.tag == "!include" else None
        if not name:
            self._refuse(node, "'!include' takes the path of a file", "write '!include part.yaml'")
            return None
        return self.load(os.path.normpath(Path(folder, name)), node)

    def _lay_over_bases(self, root: Node, folder: str) -> Node | None:
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
                self._refuse(node, f"'base' takes the path of a file or a list of them, not {describe(node)}")
                continue
            loaded = self.load(os.path.normpath(Path(folder, name)), node)
            if loaded is not None and not isinstance(loaded, MappingNode):
                self._refuse(node, f"the base '{name}' is not a mapping")
            elif isinstance(loaded, MappingNode):
                below = loaded if below is None else lay_over(below, loaded)
        return root if below is None else lay_over(below, root)

    def override(self, root: MappingNode, text: str, number: int) -> None:
        """Apply one override; its problems stand on the command line."""
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
        except ValueError as error:
            message, column, hint = (*error.args, 0, "")[:3]
            self.problems.append(Problem(message, Location("command line", 1, column + 1), text, hint=hint))
        if excess := _excess(root, {}):
            self.problems.append(Problem(excess, Location("command line", 1, 1), text))

    def _refuse(self, node: Node | None, message: str, hint: str = "") -> None:
        if node is None:
            self.problems.append(Problem(message, hint=hint))
        else:
            self.problems.append(problem_at(node.start_mark, self.sources, message, hint=hint))


def _excess(node: Node, known: dict[int, tuple[int, int]]) -> str:
    """What is too much about a whole document, if anything."""

    def extent(node: Node) -> tuple[int, int]:
        if id(node) not in known:
            below = [extent(child) for _, child in children(node)]
            size = 1 + sum(size for size, _ in below) + (len(below) if isinstance(node, MappingNode) else 0)
            known[id(node)] = (size, 1 + max((depth for _, depth in below), default=-1))
        return known[id(node)]

    size, depth = extent(node)
    if depth > MAX_DEPTH:
        return f"with its includes nested more than {MAX_DEPTH} levels deep"
    return f"with its includes more than {MAX_NODES} nodes" if size > MAX_NODES else ""
