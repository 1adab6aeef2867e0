"""Models of a first experiment: how a file names them, and what they cost on this machine."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ....config import Builder, read_call
from ....errors import DistillError
from ....preview import ExampleInputs, example_inputs
from ....report.comparison import ModelCost, measure_costs
from ....tree import map_tensors
from ..._build_model import call_of
from ..._exit import refuse


@dataclass(frozen=True)
class Call:
    """A call that builds a model, with arguments `key=value`; `name` is what the user reads."""

    name: str
    path: str
    arguments: Sequence[str]

    def with_argument(self, key: str, value: object) -> Call:
        """Return the call with an argument; one that is given stays."""
        return self if self.has(key) else Call(self.name, self.path, [*self.arguments, f"{key}={value}"])

    def has(self, key: str) -> bool:
        """Return whether an argument is given, and not as false or null."""
        values = dict(argument.split("=", 1) for argument in self.arguments)
        return key in values and values[key].lower() not in ("false", "null", "none")

    def yaml(self) -> str:
        """Return the call as YAML on one line."""
        pairs = (argument.split("=", 1) for argument in self.arguments)
        return f"!import_call:{self.path} {{{', '.join(f'{key}: {value}' for key, value in pairs)}}}"


def call_named(text: str) -> Call:
    """Return the call for a name with arguments, as `distill inspect` takes them: `resnet18 pretrained=true`.

    Raises:
        ConfigError: There is no such model.
    """
    name, *arguments = shlex.split(text) or [""]
    path, arguments = call_of(name, arguments)
    return Call(text, path, [_quoted(argument) for argument in arguments])


def _quoted(argument: str) -> str:
    """Quote a value that YAML would not read as one plain string, a name with a slash or a colon."""
    key, _, value = argument.partition("=")
    is_plain = value[:1] in "!{[\"'" or value.replace(".", "").replace("_", "").replace("-", "").isalnum()
    return argument if is_plain else f"{key}={json.dumps(value)}"


def built(call: Call, trust: Sequence[str]) -> nn.Module:
    """Build a model with memory.

    Raises:
        ConfigError: It cannot be built.
        TrustError: It is outside the trusted packages.
    """
    document = read_call(call.path, call.arguments)
    try:
        model = Builder(document, trust).build(document.root)
    except DistillError:
        raise
    except Exception as error:  # noqa: BLE001 - a model's code may raise anything
        refuse(f"'{call.name}' cannot be built: {type(error).__name__}: {error}", "check its arguments")
    if not isinstance(model, nn.Module):
        refuse(f"'{call.name}' must build an nn.Module, got {type(model).__name__}")
    return model


def image_inputs(model: nn.Module) -> ExampleInputs:
    """Return an example image of the size that a model takes.

    Raises:
        ConfigError: The size is not known, or the model does not take images of three channels.
    """
    found = example_inputs(model)
    image = found.args[0] if found and found.args else None
    if found is None or image is None or (isinstance(image, Tensor) and (image.dim() != 4 or image.shape[1] != 3)):
        refuse(
            f"{type(model).__name__} does not take colour images",
            "name a teacher whose input is (batch, 3, size, size)",
        )
    return found


def costs_of(models: dict[str, nn.Module], example: ExampleInputs) -> dict[str, ModelCost]:
    """Measure models with one sample."""
    args = map_tensors(example.args, _filled)
    kwargs = map_tensors(dict(example.kwargs), _filled)
    return measure_costs(models, dict.fromkeys(models, (args, kwargs)), rounds=11)


def outputs_of(model: nn.Module, example: ExampleInputs) -> int:
    """Return the number of scores that a classifier returns."""
    with torch.inference_mode():
        output: Any = model.eval()(*map_tensors(example.args, _filled), **map_tensors(dict(example.kwargs), _filled))
    scores = output if isinstance(output, Tensor) else getattr(output, "logits", None)
    if not isinstance(scores, Tensor) or scores.dim() != 2:
        refuse(f"{type(model).__name__} does not return scores of classes")
    return int(scores.shape[1])


def accepts(model: nn.Module, example: ExampleInputs) -> bool:
    """Return whether a model returns scores of classes for an example."""
    try:
        outputs_of(model, example)
    except Exception:  # noqa: BLE001 - a model may raise anything, an error of ours too
        return False
    return True


def _filled(tensor: Tensor) -> Tensor:
    is_real = tensor.is_floating_point()
    return torch.rand(tensor.shape, dtype=tensor.dtype) if is_real else torch.ones(tensor.shape, dtype=tensor.dtype)
