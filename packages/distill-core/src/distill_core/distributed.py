"""Rank, world size, and sums and gathers over processes that are the identity in a single process."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def is_distributed() -> bool:
    """Return whether this is one of several processes of a run."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Return the rank of this process; 0 in a single process."""
    return dist.get_rank() if is_distributed() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if is_distributed() else 1


def is_dtensor(tensor: object) -> TypeGuard[DTensor]:
    """Return whether a tensor is a `DTensor`. Does not import `torch.distributed.tensor`, without which none exists.

    >>> is_dtensor(torch.zeros(1))
    False
    """
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def sum_over_processes(tensor: Tensor) -> Tensor:
    """Return the sum of `tensor` over all processes as a new tensor, without a gradient.

    >>> sum_over_processes(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """
    total = tensor.detach().clone()
    if is_distributed():
        dist.all_reduce(total)
    return total


class _GatherBatch(torch.autograd.Function):
    """Concatenate all processes' batches; the gradient of the local batch is scaled by the number of processes.

    Each process computes the same loss of the complete batch, and data-parallel training *averages* the gradients. With
    the factor, that average is the gradient of the loss.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        sizes = torch.zeros(world_size(), dtype=torch.long, device=tensor.device)
        sizes[rank()] = tensor.shape[0]
        dist.all_reduce(sizes)
        counts = [int(size) for size in sizes]
        padded = tensor.new_zeros(max(counts), *tensor.shape[1:])
        padded[: tensor.shape[0]] = tensor
        batches = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(batches, padded)
        ctx.start, ctx.count = sum(counts[: rank()]), tensor.shape[0]
        return torch.cat([batch[:count] for batch, count in zip(batches, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.narrow(0, ctx.start, ctx.count) * world_size()


def gather_batch(tensor: Tensor) -> Tensor:
    """Return all processes' batches, concatenated along the first dimension in the order of ranks; sizes may differ.

    For losses that compare samples: computed from gathered tensors on every process and trained data-parallel (gradients
    averaged), such a loss has the gradient of a single process that has the complete batch.

    Args:
        tensor: (batch, …), the same trailing shape on every process.

    >>> gather_batch(torch.tensor([[1.0], [2.0]])).shape
    torch.Size([2, 1])
    """
    return _GatherBatch.apply(tensor) if is_distributed() else tensor
