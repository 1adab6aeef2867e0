"""The teacher and the student of a stage: taps, modules around the model, and what learns."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ._context import Context
from ._old import LostError, Place

_WITHOUT_PARAMETERS = re.compile(r"(^|\.)(relu|maxpool|avgpool|pool|dropout|flatten)\d*$")

INNER = ("student_model", "teacher_model", "model", "seq")
"""Names of the wrapped model in the wrappers."""


@dataclass(frozen=True)
class Part:
    """A module that a wrapper adds.

    Attributes:
        kind: What it is: `connector`, `regressor` …
        settings: Its arguments, by name.
        source: The tap that it reads.
        place: Its place.
    """

    kind: str
    settings: Any
    source: str
    place: Place


@dataclass
class Side:
    """A model in a stage.

    Attributes:
        context: The conversion.
        name: `teacher` or `student`.
        place: Its place.
        wrapper: The key of the auxiliary wrapper.
        parts: Path → module of the wrapper.
        sequence: The modules that the stage runs, if not all.
        sequence_place: The place of these.
        new: Name → module that the sequence adds, with the tap that it reads.
        own: Modules that the sequence adds and that the model has under the same name.
        frozen: The frozen modules.
        learns: Whether its parameters learn.
        forward: The key of the forward function.
    """

    context: Context
    name: str
    place: Place
    wrapper: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    sequence: list[str] = field(default_factory=list)
    sequence_place: Place | None = None
    new: dict[str, tuple[Any, str]] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    frozen: list[str] = field(default_factory=list)
    learns: bool = True
    forward: str = ""

    def tap(self, path: str, io: str = "output", place: Place | None = None) -> str:
        """Return the tap of a path.

        Raises:
            LostError: It is a module that is not in the model.
        """
        path = path.removeprefix(".") if path != "." else path
        if path in self.parts or path.startswith("+"):
            raise LostError(place or self.place, f"the module '{path}' is used by a loss that does not know it")
        for inner in INNER if self.wrapper else ():
            if path == inner or path.startswith(f"{inner}."):
                path = path.removeprefix(inner).removeprefix(".") or "."
                break
        if io not in ("input", "output"):
            raise LostError(place or self.place, f"'{io}' is neither 'input' nor 'output'")
        if path == ".":
            return f"{self.name}:in" if io == "input" else self.logits
        if io == "output":
            return f"{self.name}.{path}"
        if path.rpartition(".")[2] == "relu" and place is not None:
            message = (
                "their capture was overwritten by the ReLU in place; this is the tensor before it, as in the paper"
            )
            self.context.corrected(place, message, published=f"the tap after the ReLU, {self.name}.{path}")
            if self.context.as_published:
                return f"{self.name}.{path}"
        return f"{self.name}.{path}:in"

    @property
    def logits(self) -> str:
        """The tap of the whole output."""
        return f"{self.name}:out.logits" if self.context.task in ("glue", "text") else self.name

    def part(self, path: str, kind: str, place: Place) -> Part:
        """Return a module of the wrapper.

        Raises:
            LostError: The wrapper has no such module.
        """
        found = self.parts.get(path)
        if found is None or found.kind != kind:
            given = f", it is a {found.kind}" if found else ""
            raise LostError(place, f"'{path}' is not a {kind} of the wrapper '{self.wrapper or 'null'}'{given}")
        return found

    def require_frozen(self) -> None:
        """Refuse a teacher that learns.

        Raises:
            LostError: Nothing freezes it.
        """
        is_frozen = not self.learns or any(path in INNER for path in self.frozen) or self.wrapper == "EmptyModule"
        if not is_frozen:
            hint = "set `requires_grad: False`, or train it in a run of its own"
            raise LostError(self.place, "a teacher that learns together with the student", hint)

    def trained(self) -> list[str]:
        """Return globs of the parameters of the model that learn."""
        if not self.learns or self.wrapper == "EmptyModule":
            return []
        frozen = [self._inside(path) for path in self.frozen]
        if any(path in INNER for path in self.frozen):
            return []
        if not self.sequence:
            return [self.name, *self._globs(frozen, "!")]
        kept = [
            path
            for path in self.sequence
            if not path.startswith("+") and path not in frozen and not _WITHOUT_PARAMETERS.search(path)
        ]
        inside = [path for path in frozen if any(path.startswith(f"{one}.") for one in kept)]
        return [*self._globs(kept), *self._globs(inside, "!")]

    def behind(self, taps: list[str]) -> list[str]:
        """Return the modules with parameters of the sequence that run behind all of some taps."""
        own = [tap.removeprefix(self.name).removeprefix(".") for tap in taps if tap.partition(".")[0] == self.name]
        ends = [0]
        for number, path in enumerate(self.sequence, start=1):
            ends += [
                number - (tap == f"{path}:in") for tap in own if f"{tap.partition(':')[0]}.".startswith(f"{path}.")
            ]
        rest = self.sequence[max(ends) :]
        return [path for path in rest if not path.startswith("+") and not _WITHOUT_PARAMETERS.search(path)]

    def _inside(self, path: str) -> str:
        """Return a path without the name of the wrapped model."""
        first, _, rest = path.partition(".")
        return rest if self.wrapper and rest and first in INNER else path

    def _globs(self, paths: list[str], sign: str = "") -> list[str]:
        """Return globs of the parameters below some paths."""
        return [f"{sign}{self.name}.{path}" for path in paths]
