"""Checks that the tensors of a model are finite before they are measured or saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ...distributed import sum_over_processes
from ..parallel import local


def not_finite(modules: Mapping[str, nn.Module]) -> list[str]:
    """Return the names, `model.tensor`, of parameters and buffers that are not finite on some process.

    A collective operation.

    Args:
        modules: Modules by name, the same on every process.
    """
    tensors = {f"{name}.{key}": local(value) for name, module in modules.items() for key, value in _named(module)}
    # A finite sum has finite terms, and is several times faster than a test of each. Other sums may just have overflowed.
    suspects = _select(tensors, lambda value: _sum(value).isfinite())
    return _select({name: tensors[name] for name in suspects}, lambda value: value.isfinite().all())


def _sum(tensor: Tensor) -> Tensor:
    return tensor.sum(dtype=torch.float64 if tensor.dtype == torch.float64 else torch.float32)


def _select(tensors: Mapping[str, Tensor], is_finite: Callable[[Tensor], Tensor]) -> list[str]:
    """Return the names of the tensors for which `is_finite` is false on some process."""
    if not tensors:
        return []
    device = next(iter(tensors.values())).device
    bad = torch.stack([~is_finite(value).to(device, non_blocking=True) for value in tensors.values()])
    counts = sum_over_processes(bad.float()).tolist()
    return [name for name, count in zip(tensors, counts, strict=True) if count]


def _named(module: nn.Module) -> list[tuple[str, Tensor]]:
    both = [*module.named_parameters(), *module.named_buffers()]
    return [(name, value.detach()) for name, value in both if value.is_floating_point() and not value.is_meta]
