"""What the converters of losses share: a term of the new file, and the arguments of an old loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._context import Context
from ._old import LostError, Place
from ._output import Alias, Anchor, Call, flow
from ._sides import Side

LOSSES = "distill_core.losses"


@dataclass(frozen=True)
class Term:
    """A term of the new file.

    Attributes:
        name: Its name.
        loss: The loss.
        inputs: The wiring.
        weight: The weight.
        learns: Paths below it that learn; an empty path is all of it.
        averages_over: What the loss averages over, if it must be said.
    """

    name: str
    loss: Call
    inputs: Mapping[str, Any]
    weight: float = 1.0
    learns: tuple[str, ...] = ()
    averages_over: str = ""

    def entry(self) -> dict[str, Any]:
        """Return the term as it is written."""
        weight = {} if self.weight == 1 else {"weight": rounded(self.weight)}
        averages = {"averages_over": self.averages_over} if self.averages_over else {}
        return {**weight, "loss": self.loss, "inputs": dict(self.inputs), **averages}


def rounded(weight: float) -> float:
    """Return a weight without the error of a product of decimals.

    >>> rounded(0.1 * 3)
    0.3
    """
    return float(f"{weight:.12g}")


@dataclass
class Objects:
    """Objects that several stages share, by the names of their anchors."""

    written: dict[str, str] = field(default_factory=dict)

    def share(self, name: str, value: Any, place: Place) -> Any:
        """Return an object with an anchor at its first use, and an alias afterwards.

        Raises:
            LostError: The object is another one than at its first use.
        """
        if name not in self.written:
            self.written[name] = flow(value)
            return Anchor(name, value)
        if self.written[name] != flow(value):
            raise LostError(place, f"the {name} is {flow(value)} here and {self.written[name]} in an earlier stage")
        return Alias(name)


@dataclass
class Old:
    """A loss of the old file, ready to be converted.

    Attributes:
        context: The conversion.
        name: The name of its term.
        key: Its key.
        kwargs: Its arguments.
        weight: Its weight.
        student: The student.
        teacher: The teacher, if the stage has one.
        objects: Objects of the file.
        batch_size: Samples per batch.
        has_labels: Whether the data has labels.
    """

    context: Context
    name: str
    key: Place
    kwargs: Place
    weight: float
    student: Side
    teacher: Side | None
    objects: Objects
    batch_size: int

    @property
    def place(self) -> Place:
        """The place of its key."""
        return self.key

    def side(self, name: str) -> Side:
        """Return the teacher or the student.

        Raises:
            LostError: The stage has no teacher.
        """
        if name == "student":
            return self.student
        if self.teacher is None:
            raise LostError(self.key, f"'{self.key.text()}' needs a teacher")
        return self.teacher

    def path(self, side: str, stem: str) -> Place:
        """Return the place of the path `<side>_<stem>_path`."""
        return self.kwargs.need(f"{side}_{stem}_path")

    def tap(self, side: str, stem: str = "module") -> str:
        """Return the tap of `<side>_<stem>_path` and `<side>_<stem>_io`."""
        path, io = self.path(side, stem), self.kwargs.take(f"{side}_{stem}_io")
        return self.side(side).tap(path.text(), io.text() if io else "output", path)

    def both(self, stem: str = "module") -> dict[str, Any]:
        """Return the wiring of student and teacher."""
        return {side: self.tap(side, stem) for side in ("student", "teacher")}

    def plain(self, name: str, default: Any = None) -> Any:
        """Return an argument as plain data."""
        found = self.kwargs.take(name)
        return default if found is None else found.plain()

    def number(self, name: str, default: Any = None) -> Any:
        """Return an argument that is a number; the default may be None."""
        found = self.kwargs.take(name)
        return default if found is None else found.number()

    def omit(self, reason: str, *names: str) -> None:
        """Report arguments that change no number."""
        for name in names:
            if found := self.kwargs.take(name):
                found.omit(reason)

    def only(self, name: str, *accepted: Any) -> None:
        """Refuse an argument with a value that has no counterpart.

        Raises:
            LostError: The value is another.
        """
        found = self.kwargs.take(name)
        if found is not None and (given := found.plain()) not in accepted:
            raise LostError(found, f"'{name}: {given}' has no counterpart", f"{accepted[0]} has one")

    def term(self, loss: str, arguments: Mapping[str, Any], inputs: Mapping[str, Any], **options: Any) -> Term:
        """Return a term with a loss of ours."""
        chosen = {name: value for name, value in arguments.items() if value is not None}
        return Term(
            options.pop("name", self.name),
            Call(f"{LOSSES}.{loss}", chosen),
            inputs,
            **{"weight": self.weight, **options},
        )

    def exact(self, message: str) -> None:
        """Report that the loss is numerically equal."""
        self.context.exact(self.key, message)

    def mode(self, corrected: str, published: str) -> str | None:
        """Return `torchdistill` for published numbers, otherwise None; report which."""
        self.context.corrected(self.key, corrected, published=published)
        return "torchdistill" if self.context.as_published else None


def pairs(place: Place) -> list[tuple[Place, float]]:
    """Return the entries of a mapping of pairs with their weights."""
    return [(entry, weight.number() if (weight := entry.take("weight")) else 1.0) for entry in place.entries().values()]


def numbered(name: str, number: int, count: int) -> str:
    """Return the name of one of several terms."""
    return name if count == 1 else f"{name}{number}"
