"""Values and calls as text."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..tree import children


def describe_value(value: Any) -> tuple[str, str]:
    """Return the shape and the type of a tapped value as text.

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
    """Return a callable or a `partial` as text: `SGD(lr=0.1, momentum=0.9)`.

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
