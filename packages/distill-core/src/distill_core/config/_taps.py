"""The names in `inputs`, `feed`, `train` and `groups`: taps of known models, globs over them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

from yaml import Node, SequenceNode

from ..errors import WiringError, did_you_mean
from ..taps import BATCH, Tap
from ._nodes import join, pairs, string


class Names:
    """Checks them.

    Args:
        models: The names of the models; None if the document does not tell.
        add: Is told a problem: node, message, key path, hint.
    """

    def __init__(self, models: Sequence[str] | None, add: Callable[[Node, str, str, str], None]) -> None:
        self.models, self.add = models, add

    def field(self, name: str, node: Node, key: str) -> None:
        """Check the names in a field of a record."""
        if name == "inputs":
            self._inputs(node, key)
        elif name == "feed":
            for model, (model_node, wiring) in pairs(node).items():
                if self.models is not None and model not in self.models:
                    self.add(model_node, f"there is no model '{model}'", key, did_you_mean(model, self.models))
                self._inputs(wiring, join(key, model))
        elif name == "train" and isinstance(node, SequenceNode):
            for number, item in enumerate(node.value):
                self._glob(item, string(item), join(key, str(number)))
        elif name == "groups":
            for glob, (glob_node, _) in pairs(node).items():
                self._glob(glob_node, glob, join(key, glob))

    def _inputs(self, node: Node, key: str) -> None:
        for name, (_, value) in pairs(node).items():
            for item in value.value if isinstance(value, SequenceNode) else [value]:
                if (text := string(item)) is not None:
                    self._tap(item, text, join(key, name))

    def _tap(self, node: Node, text: str, key: str) -> None:
        try:
            source = Tap.parse(text).source
        except WiringError as error:
            self.add(node, error.message, key, error.hint)
            return
        if self.models is not None and source not in (BATCH, *self.models):
            self.add(node, f"'{text}': there is no model '{source}'", key, did_you_mean(source, [BATCH, *self.models]))

    def _glob(self, node: Node, glob: str | None, key: str) -> None:
        if glob is None or self.models is None:
            return
        first = glob.removeprefix("!").partition(".")[0]
        known = [*self.models, "losses"]
        if not any(fnmatch.fnmatchcase(name, first) for name in known):
            self.add(
                node, f"'{glob}' begins with the name of no model, nor with 'losses'", key, did_you_mean(first, known)
            )
