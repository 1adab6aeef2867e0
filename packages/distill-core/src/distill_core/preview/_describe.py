"""Models, tensors, calls and wiring as text."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn.parameter import is_lazy

from ..tree import children

if TYPE_CHECKING:
    from ..experiment import SourceSettings


def describe_model(model: Any) -> str:
    """The class of a model and how many numbers it holds: `ResNet, 268,346 parameters`."""
    numbers = sum(parameter.numel() for parameter in model.parameters() if not is_lazy(parameter))
    return f"{type(model).__name__}, {numbers:,} parameters"


def describe_source(settings: SourceSettings | None) -> str:
    """What is special in how a frozen model runs.

    >>> from distill_core.experiment import SourceSettings
    >>> describe_source(SourceSettings(precision="bf16", compile=True))
    'in bf16 compiled'
    """
    if settings is None:
        return ""
    return " ".join(
        [f"in {settings.precision}"] * (settings.precision is not None) + ["compiled"] * bool(settings.compile)
    )


def describe_weight(weight: Any) -> str:
    """A weight as a factor: `0.9 ·`, or the name of its schedule."""
    return f"{weight:g} ·" if isinstance(weight, int | float) else f"{type(weight).__name__} ·"


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
