"""Construction of objects from nodes: each node once, in file order, checked by the guard and the signature."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from ..errors import DistillError, Problem, as_distill_error
from ._check import refuse
from ._document import Document
from ._guard import judge, judge_call, judge_name, judge_path, judge_tag, real_name, trust_problems
from ._hints import hint_of, records
from ._imports import attribute, find
from ._nodes import is_untagged, pairs, scalar_value, string, walk
from ._partial import Partial
from ._problems import RefusedError, TagError, TrustProblem, UntrustedError
from ._refusals import not_callable, short_name_missing
from ._schema import Decoder
from ._signatures import of_object
from ._spellings import parse
from ._tags import Tagged
from ._targets import SHORT_NAMES
from ._value_tags import VALUE_TAGS
from .beside import hint_beside, trusted

T = TypeVar("T")


class Builder:
    """Builds the objects of one document.

    Args:
        document: The document.
        trust: Packages that are trusted in addition to the default ones; `.` trusts the modules beside the file.

    Raises:
        TrustError: `trust` names a package that cannot be trusted.
    """

    def __init__(self, document: Document, trust: Sequence[str] = ()) -> None:
        self.trust = trusted(document, trust)
        refuse(trust_problems(self.trust))
        self._document = document
        self._built: dict[int, Any] = {}
        self._records: dict[str, type] = {}
        self._imported = False

    def build(self, node: Node) -> Any:
        """Return the object of a node; the same object each time, also behind an alias.

        Raises:
            ConfigError: The node is invalid.
            TrustError: It names something outside the trusted packages.
            Exception: The error of a constructor, with the location as a note.
        """
        if id(node) not in self._built:
            self._built[id(node)] = self._build(node)
        return self._built[id(node)]

    def decode(self, node: Node, cls: type[T]) -> T:
        """Decode a mapping as an instance of a dataclass and build everything below it."""
        self._records |= records(cls)
        checked = Decoder(self._document)
        checked.decode(node, cls)
        refuse(checked.problems)
        self._import_modules()
        value: T = self._decode(node, cls)
        return value

    def _decode(self, node: Node, hint: Any) -> Any:
        decoder = Decoder(self._document, self.build)
        value = decoder.decode(node, hint)
        refuse(decoder.problems)
        return value

    def _build(self, node: Node) -> Any:
        if not is_untagged(node):
            return self._tagged(node)
        if isinstance(node, MappingNode):
            return {name: self.build(value) for name, (_, value) in pairs(node).items()}
        if isinstance(node, SequenceNode):
            return [self.build(item) for item in node.value]
        return scalar_value(node) if isinstance(node, ScalarNode) else None

    def provide(self, node: Node, thing: Any) -> None:
        """Use an object for a node instead of building it."""
        self._built[id(node)] = thing

    def with_nothing_built(self) -> Builder:
        """Return a builder of the same document that shares no objects with this one."""
        other = Builder(self._document, self.trust)
        other._records = self._records
        return other

    def build_partial(self, node: Node) -> Any:
        """Return a `partial` of what an `!import_call` calls, with its arguments built; nothing is called."""
        if id(node) not in self._built:
            self._built[id(node)] = self._tagged(node, self._partial)
        return self._built[id(node)]

    def callee(self, node: Node) -> Any:
        """Import the callable of an `!import_call` without calling it; None for any other node."""
        self._import_modules()
        is_call = not is_untagged(node) and node.tag.partition(":")[0] == "!import_call"
        return self._tagged(node, self._find) if is_call else None

    def _tagged(self, node: Node, act: Callable[[Tagged], Any] | None = None) -> Any:
        at = node
        try:
            tagged = parse(node)
            at = tagged.at
            return (act or self._act)(tagged)
        except RefusedError as error:
            refuse([self._located(error.node if isinstance(error, TagError) else at, error.problem)])

    def _act(self, tagged: Tagged) -> Any:
        calls: dict[str, Callable[[Tagged], Any]] = {
            "import_call": self._call,
            "import_call_method": self._call,
            "import_partial": self._partial,
            "import_get": self._find,
            "call_method": self._call_method,
        }
        call = calls.get(tagged.tag)
        return call(tagged) if call else VALUE_TAGS[tagged.tag](self, tagged)

    def _located(self, node: Node, problem: Problem) -> Problem:
        key = next((key for key, known in walk(self._document.root) if known is node), "")
        return self._document.located(problem, node, key)

    def _import_modules(self) -> None:
        """Import the modules in `imports:`, which registers their short names."""
        if self._imported:
            return
        self._imported = True
        found = pairs(self._document.root).get("imports")
        for node in found[1].value if found and isinstance(found[1], SequenceNode) else ():
            name = string(node) or ""
            try:
                judge_path(name, self.trust)
                judge_name(name, name, self.trust)
            except UntrustedError as error:
                refuse([self._located(node, error.problem)])
            self.noted(f"importing {name}", node, importlib.import_module, name)

    def noted(self, doing: str, node: Node, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function; an exception gets a note with the location of the node."""
        try:
            return function(*args, **kwargs)
        except Exception as error:
            located = as_distill_error(error)
            located.add_note(f"while {doing} at {self._document.location(node)}")
            if located is error:
                raise
            raise located from error

    def _find(self, tagged: Tagged) -> Any:
        if "." in tagged.path:
            thing = self._find_path(tagged.path)
            judge_tag(tagged.tag, tagged.path, real_name(thing), self.trust)
            return thing
        self._import_modules()
        importlib.import_module(SHORT_NAMES)
        lookup = importlib.import_module("distill_core.registry").lookup
        try:
            thing = lookup(tagged.path)
        except DistillError as error:
            raise short_name_missing(tagged.path, error.hint) from None
        judge(tagged.path, thing, self.trust)
        return thing

    def _find_path(self, path: str) -> Any:
        """Import what a path names; a module that needs an untrusted one beside the file is refused."""
        try:
            return find(path, self.trust)
        except ModuleNotFoundError as error:
            name = (error.name or "").partition(".")[0]
            hint = hint_beside(self._document, name)
            if not hint:
                raise
            message = f"'{path}' needs the module '{name}' beside the file, which is not trusted"
            raise UntrustedError(TrustProblem(message, hint=hint, id="untrusted-import")) from None

    def _call(self, tagged: Tagged) -> Any:
        thing = self._find(tagged)
        return self._called(tagged, tagged.path, thing)

    def _called(self, tagged: Tagged, name: str, thing: Any) -> Any:
        if not callable(thing):
            raise not_callable(tagged, name)
        args, kwargs = self._arguments(tagged, name, thing, partial=False)
        return self.noted(f"building {name}", tagged.node, thing, *args, **kwargs)

    def _partial(self, tagged: Tagged) -> Any:
        thing = self._find(tagged)
        if not callable(thing):
            raise not_callable(tagged, tagged.path)
        args, kwargs = self._arguments(tagged, tagged.path, thing, partial=True)
        partial = Partial(thing, *args, **kwargs)
        partial.note = f"while calling {tagged.path} from {self._document.location(tagged.node)}"
        return partial

    def _arguments(self, tagged: Tagged, name: str, thing: Any, *, partial: bool) -> tuple[list[Any], dict[str, Any]]:
        signature = of_object(thing)
        if signature is not None:
            wrong = signature.mismatches(name, tagged.at, tagged.args, tagged.kwargs, partial=partial)
            refuse([self._located(node, problem) for node, problem in wrong])
        annotation = signature.annotation if signature else lambda _: None
        args = [self._argument(node, annotation(index)) for index, node in enumerate(tagged.args)]
        kwargs = {name: self._argument(node, annotation(name)) for name, (_, node) in tagged.kwargs.items()}
        judge_call(thing, args, kwargs, self.trust)
        return args, kwargs

    def _argument(self, node: Node, annotation: Any) -> Any:
        hint = hint_of(annotation, self._records)
        if is_untagged(node) and any(record in self._records.values() for record in records(hint).values()):
            return self._decode(node, hint)
        return self.build(node)

    def _call_method(self, tagged: Tagged) -> Any:
        owner = self.build(tagged.operands[0])
        method = attribute(owner, str(tagged.name), self.trust)
        result = self._called(tagged, f"{type(owner).__qualname__}.{tagged.name}", method)
        returns_owner = tagged.returns_obj is not None and self.build(tagged.returns_obj)
        return owner if returns_owner is True else result
