"""What is inside a model: every module that a tap can name, with shapes, parameters and floating-point operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..hooks import module_names, resolve
from ..tree import tensors
from ._model_inputs import ExampleInputs
from ._shapes import by_shapes, needs_data


@dataclass
class ModuleSummary:
    """A module of a model.

    Attributes:
        tap: The address of its output relative to the model; empty for the model.
        kind: Its class.
        shapes: The shapes of the tensors of its output in the last call; empty if it was not called.
        num_calls: How often a forward calls it.
        num_parameters: Number of its parameters, each counted once.
        flops: Floating-point operations of a forward inside it, all calls together.
    """

    tap: str
    kind: str
    num_parameters: int
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    num_calls: int = 0
    flops: int = 0


@dataclass(frozen=True)
class ModelSummary:
    """A model as a forward in eval mode saw it.

    Attributes:
        modules: The model itself, then the modules inside it in the order of their definition.
        outputs: The outputs by tap, on the meta device, in the order in which the calls ended.
        is_complete: Whether the forward ran to its end; detectors choose boxes by values, which are missing here.
    """

    modules: list[ModuleSummary]
    outputs: dict[str, Any]
    is_complete: bool


def summarise(model: nn.Module, inputs: ExampleInputs) -> ModelSummary:
    """Run a model on inputs without data and return what is inside it.

    Args:
        model: The model; it is moved to the meta device and set to eval mode.
        inputs: Inputs that fit.

    Raises:
        Exception: The model does not accept the inputs.

    >>> import torch
    >>> summary = summarise(nn.Sequential(nn.Linear(2, 3)), ExampleInputs((torch.empty(1, 2),), {}, ""))
    >>> [(module.tap, module.shapes, module.num_parameters, module.flops) for module in summary.modules]
    [('', [(1, 3)], 9, 12), ('0', [(1, 3)], 9, 12)]
    """
    model.to("meta").eval()
    found = {name: _described(model, name) for name in ["", *module_names(model)]}
    outputs: dict[str, Any] = {}
    counter = FlopCounterMode(display=False)

    def forward() -> None:
        nonlocal counter
        outputs.clear()
        counter = FlopCounterMode(display=False)
        for summary in found.values():
            summary.num_calls = 0
        with counter:
            model(*inputs.args, **inputs.kwargs)

    is_complete = True
    with ExitStack() as hooks:
        for name, summary in found.items():
            handle = resolve(model, name).register_forward_hook(_recorder(name, summary, outputs))
            hooks.callback(handle.remove)
        try:
            by_shapes(forward)
        except Exception as error:
            if not needs_data(error):
                raise
            is_complete = False
    for name, flops in _flops(model, counter):
        found[name].flops = flops
    return ModelSummary(list(found.values()), outputs, is_complete)


def _described(model: nn.Module, name: str) -> ModuleSummary:
    module = resolve(model, name)
    return ModuleSummary(name, type(module).__name__, sum(parameter.numel() for parameter in module.parameters()))


def _recorder(name: str, summary: ModuleSummary, outputs: dict[str, Any]) -> Callable[..., None]:
    def record(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ARG001 - the signature of a hook
        summary.num_calls += 1
        summary.shapes = [tuple(tensor.shape) for tensor in tensors(output)]
        outputs.pop(name, None)
        outputs[name] = output

    return record


def _flops(model: nn.Module, counter: FlopCounterMode) -> Iterator[tuple[str, int]]:
    """Yield the operations of each module; the counter names modules by the class of the model and their path."""
    root = type(model).__name__
    for name, counts in counter.get_flop_counts().items():
        if name == root or name.startswith(f"{root}."):
            yield name.removeprefix(root).removeprefix("."), int(sum(counts.values()))
