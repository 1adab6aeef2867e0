"""Find what is wrong with a document without building anything or importing anything that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import ConfigError, Problem, TrustError
from . import _sources
from ._document import Document
from ._guard import NotFoundError, UntrustedError, folder_code, judge_name, judge_path
from ._hints import hint_of
from ._nodes import TrustProblem, is_untagged, join, pairs, scalar_value, string, walk
from ._policy import OURS, UNKNOWN, argument_refusal, is_allowed, is_method_allowed, untrustable
from ._schema import Decoder
from ._signatures import Signature, of_definition
from ._spellings import parse
from ._tags import IMPORTING, TagError, Tagged
from ._taps import Names
from ._targets import locate


def check(
    document: Document, schema: type, schemas: Mapping[str, type] | None = None, trust: Sequence[str] = ()
) -> list[Problem]:
    """All that can be seen to be wrong with a document, in the order of the file.

    Args:
        document: What was read.
        schema: The dataclass that the whole document is.
        schemas: The dataclasses that arguments of calls may be, by the name that annotations use.
        trust: Packages that are trusted beyond the usual ones.
    """
    checker = _Checker(document, dict(schemas or {}), tuple(trust))
    checker.decoder.decode(document.root, schema)
    for key, node in walk(document.root):
        checker.node(node, key)
    checker.imports()
    checker.plain_models()
    problems = [*checker.trust_problems(), *checker.decoder.problems, *checker.problems]
    unique: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        unique.setdefault((str(problem.location), problem.message), problem)
    return sorted(unique.values(), key=lambda item: _order(item, document))


def refuse(problems: Sequence[Problem]) -> None:
    """Raise what the problems amount to, if there are any.

    Raises:
        TrustError: If one of them is a problem of trust.
        ConfigError: Otherwise.
    """
    if problems:
        trust = any(isinstance(problem, TrustProblem) for problem in problems)
        raise (TrustError if trust else ConfigError)(problems)


def _order(problem: Problem, document: Document) -> tuple[int, str, int, int]:
    location = problem.location
    if location is None:
        return (0, "", 0, 0)
    main = 1 if location.file == str(document.path) else 2
    return (main, location.file, location.line, location.column)


class _Checker:
    def __init__(self, document: Document, schemas: dict[str, type], trust: tuple[str, ...]) -> None:
        self.document, self.schemas, self.trust = document, schemas, trust
        self.problems: list[Problem] = []
        top = pairs(document.root)
        models = top["models"][1] if "models" in top else None
        known = isinstance(models, MappingNode) and is_untagged(models)
        self.models = pairs(models) if models is not None and known else {}
        averages = [f"{name}_ema" for name in pairs(top["ema"][1])] if "ema" in top else []
        names = Names([*pairs(models), *averages] if models is not None and known else None, self.add)
        self.decoder = Decoder(document, on_field=names.field)
        imports = top["imports"][1] if "imports" in top else None
        self.imported = list(imports.value) if isinstance(imports, SequenceNode) else []

    def trust_problems(self) -> list[Problem]:
        return [
            TrustProblem(f"'--trust {name}' cannot be: {reason}") for name, reason in untrustable(self.trust).items()
        ]

    def add(self, node: Node, message: str, key: str, hint: str = "", kind: type[Problem] = Problem) -> None:
        self.problems.append(self.document.problem(node, message, key, hint, kind=kind))

    def imports(self) -> None:
        for number, node in enumerate(self.imported):
            name = string(node)
            if name is None:
                continue
            key = f"imports.{number}"
            try:
                judge_path(name, self.trust)
                if not is_allowed(name, self.trust):
                    judge_name(name, name, self.trust)
                if _sources.find(name) is None:
                    continue
            except UntrustedError as error:
                self.add(node, str(error), key, error.hint, TrustProblem)
            except NotFoundError as error:
                self.add(node, str(error), key, error.hint)

    def plain_models(self) -> None:
        """Nothing, a number or a text in the place of a model."""
        for name, (_, node) in self.models.items():
            if isinstance(node, ScalarNode) and is_untagged(node):
                shown = node.value or "null"
                hint = "`!import_call:` makes one; leave the entry out if there is none"
                self.add(node, f"'{name}' is {shown}, which is no model", f"models.{name}", hint)

    def node(self, node: Node, key: str) -> None:
        """Check one node by itself."""
        for name, (name_node, value) in pairs(node).items():
            self._value(name, value, name_node, join(key, name))
        if is_untagged(node):
            return
        try:
            tagged = parse(node)
        except TagError as error:
            self.add(error.node, error.message, key, error.hint)
            self._path_in_broken(node, key)
            return
        if tagged.tag in IMPORTING:
            self._import(tagged, key)
        elif tagged.tag in ("getattr", "setattr", "call_method"):
            attribute = tagged.name if isinstance(tagged.name, str) else _joined(tagged.name)
            if attribute is not None:
                self._attribute(tagged, attribute, key)

    def _value(self, name: str, value: Node, at: Node, key: str, callee: str = "") -> None:
        """Refuse an argument that the policy does not allow."""
        if reason := argument_refusal(name, _plain(value), callee):
            self.add(at, f"'{name}: {_shown(value)}' is refused: {reason}", key, kind=TrustProblem)

    def _path_in_broken(self, node: Node, key: str) -> None:
        """A call that is written wrongly may still name what is not trusted."""
        tag, _, path = node.tag.removeprefix("!").partition(":")
        if tag in IMPORTING and re.fullmatch(r"[\w.]+", path) and "." in path:
            try:
                judge_path(path, self.trust)
            except UntrustedError as error:
                self.add(node, str(error), key, error.hint, TrustProblem)

    def _attribute(self, tagged: Tagged, name: str, key: str) -> None:
        if tagged.tag == "setattr":
            self._value(name, tagged.operands[1], tagged.at, key)
        if name.startswith("_"):
            self.add(tagged.at, f"'{name}' is an underscore name", key, kind=TrustProblem)
        elif tagged.tag == "setattr" and self._is_definition(tagged.operands[0]):
            self.add(tagged.at, "'!setattr' changes objects, not classes, functions or modules", key, kind=TrustProblem)
        elif not is_method_allowed("?", name) and not self.trust:
            self.add(tagged.at, f"'{name}' is not one that a config may use", key, kind=TrustProblem)

    def _is_definition(self, node: Node) -> bool:
        """Whether a node gets a class or function."""
        try:
            tagged = parse(node) if not is_untagged(node) else None
            found = self._locate(tagged.path) if tagged and tagged.tag == "import_get" else None
        except (TagError, UntrustedError, NotFoundError):
            return False
        return found is not None and found.node is not None

    def _import(self, tagged: Tagged, key: str) -> None:
        path = tagged.path
        try:
            found = self._locate(path)
        except UntrustedError as error:
            self.add(tagged.at, str(error), key, error.hint, TrustProblem)
            return
        except NotFoundError as error:
            self.add(tagged.at, str(error), key, error.hint)
            return
        if tagged.tag == "import_get" or found is None:
            return
        signature = of_definition(found)
        self._argument_values(tagged, signature, found.real, key)
        if signature is None:
            return
        for node, message, hint in signature.misfits(
            path, tagged.at, tagged.args, tagged.kwargs, partial=tagged.tag == "import_partial"
        ):
            self.add(node, message, key, hint)
        self._arguments(tagged, signature, path, key)

    def _argument_values(self, tagged: Tagged, signature: Signature | None, callee: str, key: str) -> None:
        """What only the callable tells: arguments by position, and those that are its own in the policy's table."""
        positional = [item.name for item in signature.parameters if item.positional] if signature else []
        for name, value in zip(positional, tagged.args, strict=False):
            self._value(name, value, value, key, callee)
        for name, (at, value) in tagged.kwargs.items():
            if not argument_refusal(name, _plain(value)):  # `node` has looked at the mapping
                self._value(name, value, at, join(key, name), callee)
        for value in (*tagged.args, *(value for _, value in tagged.kwargs.values())):
            if found := folder_code(callee, string(value)):
                self.add(value, found.message, key, found.hint, TrustProblem)

    def _locate(self, path: str) -> _sources.Definition | None:
        return locate(path, self.trust, registering=bool(self.imported))

    def _arguments(self, tagged: Tagged, signature: Signature, path: str, key: str) -> None:
        """Arguments that are records of ours, and plain ones of our own functions, fit their annotation."""
        own = "." not in path or path.partition(".")[0] in OURS
        known = self.schemas if own else {}
        given: list[tuple[str | int, Node]] = list(enumerate(tagged.args))
        given += [(name, value) for name, (_, value) in tagged.kwargs.items()]
        for name, node in given if own else ():
            hint = hint_of(signature.annotation(name), known)
            if hint is not Any:
                self.decoder.decode(node, hint, join(key, str(name)))


def _joined(node: Node) -> str | None:
    """What `!join` makes of plain texts."""
    plain = node.tag == "!join" and all(isinstance(item, ScalarNode) and is_untagged(item) for item in node.value)
    return "".join(str(item.value) for item in node.value) if plain else None


def _plain(node: Node) -> object:
    """The value of plain data, with `UNKNOWN` for what is to be built."""
    if not is_untagged(node):
        return UNKNOWN
    if isinstance(node, MappingNode):
        return {name: _plain(value) for name, (_, value) in pairs(node).items()}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    return scalar_value(node) if isinstance(node, ScalarNode) else UNKNOWN


def _shown(node: Node) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else "..."
