"""A model with tensors as inputs and outputs."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ..errors import DistillError

PREFERRED = ("logits", "last_hidden_state", "out")
"""Main fields of structured outputs: those of transformers, and of segmentation models of torchvision."""


class TensorsOnly(nn.Module):
    """Call a model and return the tensors of its output: a single tensor, or a tuple of several.

    For a structured output, the main field is returned (`logits`, `last_hidden_state` or `out`), otherwise every tensor in
    the order of the fields. Hidden states and caches that a run may have requested are not part of the file.

    Args:
        model: The model.
        names: Names of the inputs, in order. They become the parameters of the program; a single input is passed by
            position.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = tuple(names)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])

        def forward(*args: Tensor, **kwargs: Tensor) -> Tensor | tuple[Tensor, ...]:
            arguments = signature.bind(*args, **kwargs).arguments
            output = self.model(*arguments.values()) if len(arguments) == 1 else self.model(**arguments)
            tensors = tuple(answer(output).values())
            return tensors[0] if len(tensors) == 1 else tensors

        forward.__signature__ = signature  # type: ignore[attr-defined]
        self.forward = forward


def answer(output: Any) -> dict[str, Tensor]:
    """Return the tensors of a model's output by name.

    Raises:
        DistillError: The output holds values that are not tensors.
    """
    fields = _fields(output)
    chosen = next(({name: fields[name]} for name in PREFERRED if isinstance(fields.get(name), Tensor)), fields)
    values = {name: value for name, value in chosen.items() if value is not None}
    wrong = {name: type(value).__name__ for name, value in values.items() if not isinstance(value, Tensor)}
    if wrong or not values:
        reason = ", ".join(f"'{name}' is a {kind}" for name, kind in wrong.items()) or "the output is empty"
        message = f"the model's output cannot be exported as tensors: {reason}"
        raise DistillError(message, hint="--format safetensors writes the weights of any model")
    return values


def _fields(output: Any) -> dict[str, Any]:
    if isinstance(output, Tensor):
        return {"output": output}
    if isinstance(output, Mapping):
        return {str(name): value for name, value in output.items()}
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        return {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, tuple) and hasattr(output, "_asdict"):
        return dict(output._asdict())
    if isinstance(output, list | tuple):
        return {f"output{index}": value for index, value in enumerate(output)}
    return {"output": output}
