"""The table of cases that every loss is tested against: one `CASES` list in each test_<method>.py, gathered here.

To join, a method's test file says

    from .cases import Case

    CASES = [Case(name="KDLoss", loss=KDLoss, inputs=lambda batch: {...}, zero_at_equality=True)]

and test_laws.py does the rest: it crosses every case with every law. The relative import works because pytest's importlib
mode gives the test files the package `tests.core.losses`; ranks.py, which is run by torchrun, has `losses` in its place.
A test file must not import `table`: it would import itself.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """One loss with one choice of hyper-parameters, its inputs and its properties.

    Attributes:
        name: The class, and a word when it has several cases: `KDLoss`, `KDLoss-mean`.
        loss: Makes a fresh loss; small, float32, with whatever parameters it has.
        inputs: From a batch size to the arguments of `forward`: float32 on the CPU, drawn from torch's generator, the
            sample as first dimension, lists where the loss takes lists.
        zero_at_equality: Whether the loss is 0 where the teacher is equal to the student.
        permutes: Whether the order of the samples in the batch is irrelevant (not so where random numbers are drawn by position).
        splits: Whether the inputs have a sample dimension, so that a batch can be split over processes.
        constant: Names of parameters of the loss that get no gradient, and of those below them.
        scale_invariant: Whether multiplying the student's tensors by a positive number changes nothing.
        overflows_half: Whether the gradients of features near the limit of float16 are beyond it, as they are where products
            of features are compared as they come. They are infinite then, which is what a gradient scaler looks for.
        equal: Names of buffers of a `local` loss that are the same on all processes, and of those below them.
        whole: The same, of buffers that are what one process would hold which sees the whole batch.
        at_temperature: Makes the loss at a temperature, if L(c·s, c·t; c·τ) = c² · L(s, t; τ) holds.
    """

    name: str
    loss: Callable[[], nn.Module]
    inputs: Callable[[int], dict[str, Any]]
    zero_at_equality: bool = False
    permutes: bool = True
    splits: bool = True
    constant: tuple[str, ...] = ()
    scale_invariant: bool = False
    overflows_half: bool = False
    equal: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    at_temperature: Callable[[float], nn.Module] | None = None

    def __str__(self) -> str:
        return self.name

    def draw(self, batch: int = BATCH, seed: int = 0) -> dict[str, Any]:
        """Return the arguments of `forward`, equal in each call."""
        torch.manual_seed(seed)
        return self.inputs(batch)

    def ready(self, loss: nn.Module | None = None) -> nn.Module:
        """Return a new loss in training mode, its parameters created by one forward in evaluation mode."""
        torch.manual_seed(1)
        loss = loss or self.loss()
        inputs = self.draw()
        with torch.no_grad():
            loss.eval()(**inputs)
        return loss.train()

    def is_learned(self, parameter: str) -> bool:
        """Return whether the parameter of the loss must get a gradient."""
        return not any(parameter == name or parameter.startswith(name + ".") for name in self.constant)


def table() -> list[Case]:
    """Return all cases of all methods."""
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    names = [file.stem for file in files if not file.stem.startswith(("test_laws", "test_golden", "test_torchdistill"))]
    modules = [importlib.import_module(f"{__package__}.{name}") for name in names]
    return [case for module in modules for case in module.CASES]


def apply(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply `function` to each floating-point tensor in `value`, through lists and dicts."""
    if isinstance(value, Tensor):
        return function(value) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: apply(function, part) for key, part in value.items()}
    return [apply(function, part) for part in value] if isinstance(value, (list, tuple)) else value


def tensors(value: Any) -> list[Tensor]:
    """Return the floating-point tensors in `value`."""
    found: list[Tensor] = []
    apply(lambda tensor: found.append(tensor) or tensor, value)  # type: ignore[func-returns-value]
    return found


def samples(value: Any, index: Tensor) -> Any:
    """Select the samples `index` of each tensor in `value`, through lists and dicts."""
    if isinstance(value, Tensor):
        return value[index]
    if isinstance(value, dict):
        return {key: samples(part, index) for key, part in value.items()}
    return [samples(part, index) for part in value] if isinstance(value, (list, tuple)) else value


def value_and_gradients(
    loss: nn.Module, inputs: dict[str, Any], leaves: Iterable[Tensor], seed: int = 2
) -> tuple[Tensor, list[Tensor]]:
    """Return the loss and its gradients to `leaves`, zeros where there is none, always with the same seed."""
    torch.manual_seed(seed)
    value = loss(**inputs)
    leaves = list(leaves)
    gradients = torch.autograd.grad(value, leaves, allow_unused=True) if leaves else []
    return value.detach(), [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True)]


def twin(loss: nn.Module) -> nn.Module:
    """Return an independent copy, for comparing two uses of a loss with memory."""
    return copy.deepcopy(loss)
