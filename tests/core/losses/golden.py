"""Reader of golden files: inputs, settings, values and gradients that the authors' code of a method computed.

A file has `method`, `paper`, `source` (repository, function, commit), `notes` and `cases`. A case has `inputs`,
`parameters`, `settings`, `value`, `gradient` (one entry per input whose name starts with `student`, and per parameter
that is listed) and sometimes `state_after`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Golden:
    """One case of a golden file. `case["student"]` is an input or a parameter."""

    method: str
    name: str
    tensors: dict[str, Tensor]
    settings: dict[str, Any]
    value: float
    gradient: dict[str, Tensor]
    state_after: dict[str, Any]

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def options(self, *names: str) -> dict[str, Any]:
        """Return the settings of these names, as keyword arguments."""
        return {name: self.settings[name] for name in names}


Call = Callable[[Golden], Tensor]


def read(folder: Path) -> list[Golden]:
    """Return the cases of all files in a folder."""
    return [_case(path.stem, case) for path in sorted(folder.glob("*.json")) for case in _cases(path)]


def tensor(values: Any) -> Tensor:
    """Return integers as int64 and other numbers as float64."""
    return torch.tensor(values, dtype=torch.int64 if _is_integer(values) else torch.float64)


def fill(module: nn.Module, **values: Tensor) -> nn.Module:
    """Overwrite parameters and buffers of a module by name, with `__` for dots, and return it in float64."""
    module.double()
    with torch.no_grad():
        for name, value in values.items():
            path, _, leaf = name.replace("__", ".").rpartition(".")
            getattr(module.get_submodule(path), leaf).copy_(value)
    return module


def check(case: Golden, call: Call, *, value_rel: float, gradient_rel: float, value: bool = True) -> None:
    """Compare value and gradient of `call` with those of the case.

    Args:
        case: The case.
        call: Computes the scalar.
        value_rel: Relative tolerance of the value.
        gradient_rel: Relative tolerance of the norm of the gradient's difference.
        value: Compare the value, too; False where it differs by a constant.
    """
    leaves = {name: case[name].requires_grad_() for name in case.gradient if name != "theta"}
    result = call(case)
    gradients = torch.autograd.grad(result, list(leaves.values())) if leaves else ()
    if value:
        assert result.item() == pytest.approx(case.value, rel=value_rel, abs=1e-12)
    for name, gradient in zip(leaves, gradients, strict=True):
        expected = case.gradient[name]
        assert (gradient - expected).norm() <= gradient_rel * expected.norm() + 1e-12, name


def _cases(path: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(path.read_text())["cases"]
    return cases


def _case(method: str, case: dict[str, Any]) -> Golden:
    tensors = {name: tensor(x) for name, x in {**case["inputs"], **case.get("parameters", {})}.items()}
    gradient = {name: torch.tensor(x, dtype=torch.float64) for name, x in case["gradient"].items()}
    return Golden(method, case["name"], tensors, case["settings"], case["value"], gradient, case.get("state_after", {}))


def _is_integer(values: Any) -> bool:
    return all(map(_is_integer, values)) and bool(values) if isinstance(values, list) else isinstance(values, int)
