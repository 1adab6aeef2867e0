"""What a run is going to do, as text."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ..tree import children

Line = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """What one stage is going to do.

    Attributes:
        title: Its number, length, optimizer and scheduler.
        losses: Weight, name, class and wiring of each term.
        taps: Address, shape and type of each tensor that is taken.
        parts: Name and trainable parameters of each model and loss.
        models: Each model that runs, and how far.
        notes: What could not be checked.
    """

    title: str
    losses: Sequence[Line]
    taps: Sequence[Line]
    parts: Sequence[Line]
    models: Sequence[Line]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """The stage as aligned lines."""
        blocks = {"losses": self.losses, "taps": self.taps, "learns": self.parts, "runs": self.models}
        lines = [self.title]
        for name, block in blocks.items():
            lines += [f"  {name if number == 0 else '':8}{line}" for number, line in enumerate(aligned(block))]
        return "\n".join([*lines, *(f"  note    {note}" for note in self.notes)])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run is going to do.

    Attributes:
        models: Name, class and size of each model.
        stages: The stages in order.
        measures: Split, metric and wiring of everything that is measured.
    """

    models: Sequence[Line]
    stages: Sequence[StagePlan]
    measures: Sequence[Line] = field(default=())

    def text(self) -> str:
        """The whole plan."""
        parts = ["\n".join(["models", *(f"  {line}" for line in aligned(self.models))])]
        parts += [stage.text() for stage in self.stages]
        if self.measures:
            parts.append("\n".join(["measures", *(f"  {line}" for line in aligned(self.measures))]))
        return "\n\n".join(parts)


def aligned(lines: Iterable[Line]) -> list[str]:
    """Columns of equal width, two spaces apart.

    >>> aligned([("a", "bcd"), ("ef", "g")])
    ['a   bcd', 'ef  g']
    """
    lines = list(lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def describe_value(value: Any) -> tuple[str, str]:
    """Shape and type of a tapped value.

    >>> import torch
    >>> describe_value(torch.zeros(2, 3)), describe_value([torch.zeros(2)]), describe_value("text")
    (('(2, 3)', 'float32'), ('[(2,)]', 'list of float32'), ('', 'str'))
    """
    if isinstance(value, Tensor):
        return str(tuple(value.shape)), str(value.dtype).removeprefix("torch.")
    parts = children(value)
    if parts is None:
        return "", type(value).__name__
    described = {key: describe_value(part) for key, part in parts.items()}
    if isinstance(value, Sequence) and not hasattr(value, "_fields"):
        kinds = "/".join(dict.fromkeys(kind for _, kind in described.values()))
        return "[" + ", ".join(shape for shape, _ in described.values()) + "]", f"{type(value).__name__} of {kinds}"
    return "{" + ", ".join(f"{key}: {shape}" for key, (shape, _) in described.items()) + "}", type(value).__name__


def describe_call(call: Any) -> str:
    """A callable that waits for its arguments: `SGD(lr=0.1, momentum=0.9)`.

    >>> describe_call(functools.partial(dict, lr=0.1)), describe_call(dict)
    ('dict(lr=0.1)', 'dict()')
    """
    partial = call if isinstance(call, functools.partial) else functools.partial(call)
    arguments = [*map(_describe_argument, partial.args)]
    arguments += [f"{name}={_describe_argument(value)}" for name, value in partial.keywords.items()]
    return f"{getattr(partial.func, '__name__', type(partial.func).__name__)}({', '.join(arguments)})"


def _describe_argument(value: Any) -> str:
    if isinstance(value, list | tuple) and any(isinstance(part, functools.partial) for part in value):
        return f"[{', '.join(map(_describe_argument, value))}]"
    return describe_call(value) if isinstance(value, functools.partial) else repr(value)


def describe_inputs(inputs: Mapping[str, Any]) -> str:
    """Wiring: `student = student.fc, target = batch.target`."""
    return ", ".join(f"{name} = {taps if isinstance(taps, str) else list(taps)}" for name, taps in inputs.items())
