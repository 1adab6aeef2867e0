"""Checks of a document that neither build anything nor import anything that it names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import ConfigError, Problem, TrustError
from . import _sources
from ._document import Document
from ._guard import folder_code, judge_name, judge_path, judge_tag, trust_problems
from ._hints import foreign_hint, hint_of, misfits
from ._nodes import is_untagged, join, pairs, scalar_value, string, walk
from ._problems import RefusedError, TagError, TrustProblem, UntrustedError
from ._refusals import attribute_private, definition_refused, method_refused, value_refused
from ._schema import Decoder
from ._signatures import Signature, of_definition
from ._spellings import parse
from ._tags import IMPORTING, Tagged
from ._taps import Names
from ._targets import locate
from .beside import hint_beside, trusted
from .policy import OURS, UNKNOWN, argument_refusal, is_allowed, is_method_allowed


def check(
    document: Document, schema: type, schemas: Mapping[str, type] | None = None, trust: Sequence[str] = ()
) -> list[Problem]:
    """Return the problems of a document that can be found without building it, in file order.

    Args:
        document: The document.
        schema: The dataclass of the root.
        schemas: The dataclasses of arguments of calls, by the name that annotations use.
        trust: Packages that are trusted in addition to the default ones; `.` trusts the modules beside the file.
    """
    trust = trusted(document, trust)
    checker = _Checker(document, dict(schemas or {}), trust)
    checker.decoder.decode(document.root, schema)
    for key, node in walk(document.root):
        checker.node(node, key)
    checker.imports()
    checker.plain_models()
    problems = [*trust_problems(trust), *checker.decoder.problems, *checker.problems]
    unique: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        unique.setdefault((str(problem.location), problem.message), problem)
    return sorted(unique.values(), key=lambda item: _order(item, document))


def refuse(problems: Sequence[Problem]) -> None:
    """Raise the error of the problems, if there are any.

    Raises:
        TrustError: At least one of them is a problem of trust.
        ConfigError: None of them is.
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

    def add(self, node: Node, key: str, problem: Problem) -> None:
        self.problems.append(self.document.located(problem, node, key))

    def imports(self) -> None:
        for index, node in enumerate(self.imported):
            name = string(node)
            if name is None:
                continue
            try:
                judge_path(name, self.trust)
                if not is_allowed(name, self.trust):
                    judge_name(name, name, self.trust)
                _sources.find_definition(name)
            except RefusedError as error:
                self.add(node, f"imports.{index}", self._explained(error.problem, name))

    def plain_models(self) -> None:
        """Check that no model is null, a number or a string."""
        for name, (_, node) in self.models.items():
            if isinstance(node, ScalarNode) and is_untagged(node):
                message = f"'{name}' is {node.value or 'null'}, which is not a model"
                hint = "create the model with `!import_call:`, or remove the entry"
                self.add(node, f"models.{name}", Problem(message, hint=hint, id="not-a-model"))

    def node(self, node: Node, key: str) -> None:
        """Check one node."""
        for name, (name_node, value) in pairs(node).items():
            self._value(name, value, name_node, join(key, name))
        if is_untagged(node):
            return
        try:
            tagged = parse(node)
        except TagError as error:
            self.add(error.node, key, error.problem)
            self._path_of_malformed(node, key)
            return
        if tagged.tag in IMPORTING:
            self._import(tagged, key)
        elif tagged.tag in ("getattr", "setattr", "call_method"):
            attribute = tagged.name if isinstance(tagged.name, str) else _joined(tagged.name)
            if attribute is not None:
                self._attribute(tagged, attribute, key)

    def _value(self, name: str, value: Node, at: Node, key: str, callee: str = "") -> None:
        """Refuse an argument that the policy does not allow."""
        if reason := argument_refusal(name, _plain(value), callee, self.trust):
            self.add(at, key, value_refused(name, _shown(value), reason).problem)

    def _path_of_malformed(self, node: Node, key: str) -> None:
        """Check the path of a malformed call, which may name something untrusted."""
        tag, _, path = node.tag.removeprefix("!").partition(":")
        if tag in IMPORTING and re.fullmatch(r"[\w.]+", path) and "." in path:
            try:
                judge_path(path, self.trust)
            except UntrustedError as error:
                self.add(node, key, error.problem)

    def _attribute(self, tagged: Tagged, name: str, key: str) -> None:
        if tagged.tag == "setattr":
            self._value(name, tagged.operands[1], tagged.at, key)
        if name.startswith("_"):
            self.add(tagged.at, key, attribute_private(name).problem)
        elif tagged.tag == "setattr" and self._is_definition(tagged.operands[0]):
            self.add(tagged.at, key, definition_refused().problem)
        elif not is_method_allowed("?", name) and not self.trust:
            self.add(tagged.at, key, method_refused("", name).problem)

    def _is_definition(self, node: Node) -> bool:
        """Return whether a node refers to a class or function."""
        try:
            tagged = parse(node) if not is_untagged(node) else None
            found = self._locate(tagged.path) if tagged and tagged.tag == "import_get" else None
        except RefusedError:
            return False
        return found is not None and found.node is not None

    def _import(self, tagged: Tagged, key: str) -> None:
        path = tagged.path
        try:
            found = self._locate(path)
            judge_tag(tagged.tag, path, found.real if found else path, self.trust)
        except RefusedError as error:
            self.add(tagged.at, key, self._explained(error.problem, path))
            return
        if tagged.tag == "import_get" or found is None:
            return
        signature = of_definition(found)
        self._argument_values(tagged, signature, found.real, key)
        if signature is None:
            return
        for node, problem in signature.mismatches(
            path, tagged.at, tagged.args, tagged.kwargs, partial=tagged.tag == "import_partial"
        ):
            self.add(node, key, problem)
        self._arguments(tagged, signature, path, key)

    def _explained(self, problem: Problem, path: str) -> Problem:
        """Return a problem whose hint names the module beside the file that a path may mean."""
        hint = hint_beside(self.document, path.partition(".")[0]) if problem.id == "untrusted-package" else ""
        return replace(problem, hint=hint) if hint else problem

    def _argument_values(self, tagged: Tagged, signature: Signature | None, callee: str, key: str) -> None:
        """Check positional arguments, and those that the policy restricts for this callable only."""
        positional = [item.name for item in signature.parameters if item.positional] if signature else []
        for name, value in zip(positional, tagged.args, strict=False):
            self._value(name, value, value, key, callee)
        for name, (at, value) in tagged.kwargs.items():
            if not argument_refusal(name, _plain(value)):  # `node` has checked the mapping
                self._value(name, value, at, join(key, name), callee)
        for value in (*tagged.args, *(value for _, value in tagged.kwargs.values())):
            if found := folder_code(callee, string(value)):
                self.add(value, key, found.problem)

    def _locate(self, path: str) -> _sources.Definition | None:
        return locate(path, self.trust, registering=bool(self.imported))

    def _arguments(self, tagged: Tagged, signature: Signature, path: str, key: str) -> None:
        """Check the arguments of Distill's own callables, and of optimizers and layers, against their annotations."""
        own = "." not in path or path.partition(".")[0] in OURS
        known = self.schemas if own else {}
        given: list[tuple[str | int, Node]] = list(enumerate(tagged.args))
        given += [(name, value) for name, (_, value) in tagged.kwargs.items()]
        for name, node in given:
            hint = (
                hint_of(signature.annotation(name), known)
                if own
                else foreign_hint(path, signature.annotation(name), name)
            )
            for wrong, of_it, where in misfits(node, hint, join(key, str(name))) if not own else ():
                self.decoder.decode(wrong, of_it, where)
            if own and hint is not Any:
                self.decoder.decode(node, hint, join(key, str(name)))


def _joined(node: Node) -> str | None:
    """Return the result of `!join` on plain strings; None for any other node."""
    plain = node.tag == "!join" and all(isinstance(item, ScalarNode) and is_untagged(item) for item in node.value)
    return "".join(str(item.value) for item in node.value) if plain else None


def _plain(node: Node) -> object:
    """Return the value of plain data, with `UNKNOWN` for tagged nodes."""
    if not is_untagged(node):
        return UNKNOWN
    if isinstance(node, MappingNode):
        return {name: _plain(value) for name, (_, value) in pairs(node).items()}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.value]
    return scalar_value(node) if isinstance(node, ScalarNode) else UNKNOWN


def _shown(node: Node) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else "..."
