"""Checks of the names in `inputs`, `feed`, `train` and `groups`: taps of known models, globs over them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

from yaml import Node, SequenceNode

from ..errors import Problem, WiringError, did_you_mean
from ..taps import BATCH, Tap
from ._nodes import join, pairs, string


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
