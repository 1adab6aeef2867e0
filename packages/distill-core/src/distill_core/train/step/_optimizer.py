"""Creation of optimizers, fused if that is the same arithmetic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from ...distributed import is_dtensor

_KINDS = (SGD, Adam, AdamW)
_SHARDED_KINDS = (Adam, AdamW)  # torch has no such kernel of SGD for sharded tensors
_DEVICES = ("cpu", "cuda", "mps", "xpu")
_CHOICES = ("fused", "foreach", "capturable", "differentiable")


def make_optimizer(make: Callable[..., Any], groups: Sequence[Mapping[str, Any]]) -> Any:
    """Call `make` with parameter groups, and with `fused=True` where nothing speaks against it.

    A fused optimizer updates all tensors in one kernel. It gives what the other forms give up to rounding, costs a
    third of them on a CPU and less on a GPU, and can withhold an update without asking the host (see `FiniteGuard`).

    It is asked for if `make` is SGD, Adam or AdamW, or a `functools.partial` of one that leaves the form open, and
    the tensors allow it. `fused: false` in the file keeps torch's own choice. An embedding with sparse gradients needs that.

    Args:
        make: A callable from parameter groups to an optimizer.
        groups: The groups.

    >>> weight = torch.nn.Parameter(torch.ones(2))
    >>> make_optimizer(functools.partial(SGD, lr=0.1), [{"params": [weight]}]).defaults["fused"]
    True
    >>> make_optimizer(functools.partial(SGD, lr=0.1, fused=False), [{"params": [weight]}]).defaults["fused"]
    False
    """
    tensors = [tensor for group in groups for tensor in group["params"]]
    fuse = _leaves_open(make) and not any(choice in group for group in groups for choice in _CHOICES)
    return make(groups, fused=True) if fuse and _allow(tensors, _kind(make)) else make(groups)


def _kind(make: Callable[..., Any]) -> Any:
    return make.func if isinstance(make, functools.partial) else make


def _leaves_open(make: Callable[..., Any]) -> bool:
    given = make.keywords if isinstance(make, functools.partial) else {}
    return _kind(make) in _KINDS and not any(choice in given for choice in _CHOICES)


def _allow(tensors: Sequence[Tensor], kind: type[Optimizer]) -> bool:
    """Return whether a fused kernel exists for all of the tensors."""
    return all(
        torch.is_floating_point(tensor)
        and tensor.device.type in _DEVICES
        and (not is_dtensor(tensor) or kind in _SHARDED_KINDS)
        for tensor in tensors
    )
