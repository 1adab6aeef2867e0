"""Checks of the names in `inputs`, `feed`, `train` and `groups`: taps, globs, and parameters of what gets them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from yaml import Node, SequenceNode

from ..errors import Problem, WiringError, did_you_mean
from ..taps import BATCH, Tap
from ._document import Document
from ._nodes import is_untagged, join, pairs, string, walk
from ._problems import RefusedError
from ._signatures import Signature, of_definition, of_method
from ._sources import Definition
from ._spellings import imported
from ._tags import Tagged
from ._targets import locate

_METHODS = {"loss": "forward", "metric": "update"}
"""Key of an object beside `inputs` → its method that gets them by name."""


class Names:
    """Checks the names of models in one document.

    Args:
        models: The names of the models; None if the document does not show them.
        add: Called with each problem: node, key path, problem.
    """

    def __init__(self, models: Sequence[str] | None, add: Callable[[Node, str, Problem], None]) -> None:
        self.models, self.add = models, add

    def field(self, name: str, node: Node, key: str) -> None:
        """Check the names in a field of a record."""
        if name == "inputs":
            self._inputs(node, key)
        elif name == "feed":
            for model, (model_node, wiring) in pairs(node).items():
                if self.models is not None and model not in self.models:
                    hint = did_you_mean(model, self.models)
                    self.add(model_node, key, Problem(f"there is no model '{model}'", hint=hint, id="unknown-model"))
                self._inputs(wiring, join(key, model))
        elif name == "train" and isinstance(node, SequenceNode):
            for index, item in enumerate(node.value):
                self._glob(item, string(item), join(key, str(index)))
        elif name == "groups":
            for glob, (glob_node, _) in pairs(node).items():
                self._glob(glob_node, glob, join(key, glob))

    def _inputs(self, node: Node, key: str) -> None:
        for name, (_, value) in pairs(node).items():
            for item in value.value if isinstance(value, SequenceNode) else [value]:
                tap = pairs(item)["tap"][1] if "tap" in pairs(item) else item  # of a feature with a layout
                if (text := string(tap)) is not None:
                    self._tap(tap, text, join(key, name))

    def _tap(self, node: Node, text: str, key: str) -> None:
        try:
            source = Tap.parse(text).source
        except WiringError as error:
            self.add(node, key, Problem(error.message, hint=error.hint, id="tap-malformed"))
            return
        if self.models is not None and source not in (BATCH, *self.models):
            hint = did_you_mean(source, [BATCH, *self.models])
            message = f"'{text}': there is no model '{source}'"
            self.add(node, key, Problem(message, hint=hint, id="tap-unknown-model"))

    def _glob(self, node: Node, glob: str | None, key: str) -> None:
        if glob is None or self.models is None:
            return
        first = glob.removeprefix("!").partition(".")[0]
        known = [*self.models, "losses"]
        if not any(fnmatch.fnmatchcase(name, first) for name in known):
            message = f"'{glob}' begins with neither the name of a model nor 'losses'"
            problem = Problem(message, hint=did_you_mean(first, known), id="glob-unknown-model")
            self.add(node, key, problem)


@dataclass(frozen=True)
class _Callees:
    document: Document
    trust: Sequence[str]
    registering: bool

    def mismatches(self, callee: Tagged | None, method: str, at: Node, inputs: Node, key: str) -> Iterator[Problem]:
        """Yield the problems of the inputs of one callable."""
        if callee is None or not is_untagged(inputs):
            return
        try:
            found = locate(callee.path, self.trust, registering=self.registering)
        except RefusedError:
            return
        signature = _signature(callee, method, found) if found else None
        if found is None or signature is None:
            return
        called = f"{found.name}.{method}" if callee.tag == "import_call" else found.name
        for node, problem in signature.mismatches(called, at, (), pairs(inputs), partial=False):
            yield self.document.located(problem, node, key)


def wired_names(document: Document, trust: Sequence[str], *, registering: bool) -> Iterator[Problem]:
    """Yield the inputs that a callable does not have, and the required ones that it does not get.

    Those of code that the sources do not show are found when the run begins.
    """
    callees = _Callees(document, trust, registering)
    models = pairs(pairs(document.root)["models"][1]) if "models" in pairs(document.root) else {}
    for key, node in walk(document.root):
        found = pairs(node)
        for name, method in _METHODS.items():
            if name in found and "inputs" in found and is_untagged(node):
                callee, (at, inputs) = imported(found[name][1]), found["inputs"]
                yield from callees.mismatches(callee, method, at, inputs, join(key, "inputs"))
        for model, (at, inputs) in pairs(found["feed"][1]).items() if "feed" in found else ():
            callee, where = imported(models[model][1]) if model in models else None, join(join(key, "feed"), model)
            yield from callees.mismatches(callee, "forward", at, inputs, where)


def _signature(callee: Tagged, method: str, found: Definition) -> Signature | None:
    """Return what remains to be passed to a callable of a file: an object's method, a function or a partial of one."""
    if callee.tag == "import_call":
        return of_method(found, method)
    if callee.tag not in ("import_get", "import_partial") or method != "forward" or "." in found.name:
        return None
    signature = of_definition(found) if not found.is_class else None
    return _bound(signature, len(callee.args), callee.kwargs) if signature else None


def _bound(signature: Signature, num_args: int, names: Mapping[str, object]) -> Signature:
    """Return a signature without its first parameters; the named ones are no longer required."""
    left = [item for item in signature.parameters if item not in signature.parameters[:num_args]]
    return replace(
        signature, parameters=tuple(replace(item, required=item.required and item.name not in names) for item in left)
    )
