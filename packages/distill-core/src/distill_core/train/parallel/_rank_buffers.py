"""Buffers that differ between the processes of a run, such as memory banks: gathered, restored, or made equal."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...distributed import rank, world_size


def each_process(value: Tensor) -> list[Tensor]:
    """Return the values of a tensor on all processes. It has the same shape on each."""
    if world_size() == 1:
        return [value]
    values = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(values, value.contiguous())
    return values


def of_this_process(values: Sequence[Tensor]) -> Tensor:
    """Return this process's value of those of all processes, of which there may have been fewer."""
    return values[rank() % len(values)]


def own_buffers(modules: Mapping[str, nn.Module], device: torch.device) -> dict[str, list[Tensor]]:
    """Return the buffers that differ between processes: `module.buffer` → its value on each. A collective operation.

    Args:
        modules: Modules by name, the same on every process.
        device: Device of this process.
    """
    if world_size() == 1:
        return {}
    buffers = _buffers(modules)
    if not buffers:
        return {}
    digests = torch.stack([_digest(value) for value in buffers.values()]).to(device)
    lowest, highest = digests.clone(), digests.clone()
    dist.all_reduce(lowest, dist.ReduceOp.MIN)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    differs = (lowest != highest).any(1).tolist()
    pairs = zip(buffers.items(), differs, strict=True)
    return {name: each_process(value) for (name, value), different in pairs if different}


def restore_own_buffers(modules: Mapping[str, nn.Module], values: Mapping[str, list[Tensor]]) -> None:
    """Restore this process's values of what `own_buffers` returned."""
    buffers = _buffers(modules)
    for name, by_rank in values.items():
        buffers[name].copy_(of_this_process(by_rank))


def same_buffers(models: Iterable[nn.Module], device: torch.device) -> None:
    """Give every process the buffers of the first; until then each keeps the statistics of its own batches."""
    if world_size() == 1:
        return
    for model in models:
        for buffer in model.buffers():
            if buffer.device.type == device.type:
                dist.broadcast(buffer, 0)


def _buffers(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in module.named_buffers()}


def _digest(value: Tensor) -> Tensor:
    """Return (4,) int64, equal for equal bits."""
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return torch.frombuffer(bytearray(hashlib.sha256(content).digest()), dtype=torch.int64)
