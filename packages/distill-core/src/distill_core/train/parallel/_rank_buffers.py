"""What differs between the processes of a run and must come back as it was on each: banks that every process fills."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ...distributed import rank, world_size

if TYPE_CHECKING:
    from .._trainer import Trainer


def each_process(value: Tensor) -> list[Tensor]:
    """The values of a tensor on all processes, of the same shape on each."""
    if world_size() == 1:
        return [value]
    parts = [torch.empty_like(value, memory_format=torch.contiguous_format) for _ in range(world_size())]
    dist.all_gather(parts, value.contiguous())
    return parts


def own_buffers(modules: Mapping[str, nn.Module], device: torch.device) -> dict[str, list[Tensor]]:
    """The buffers that are not the same on all processes: `module.buffer` → its value on each. All must ask together.

    Args:
        modules: Modules by name, the same on every process.
        device: Where this process sends from.
    """
    if world_size() == 1:
        return {}
    buffers = {f"{part}.{name}": value for part, module in modules.items() for name, value in module.named_buffers()}
    if not buffers:
        return {}
    digests = torch.stack([_digest(value) for value in buffers.values()]).to(device)
    lowest, highest = digests.clone(), digests.clone()
    dist.all_reduce(lowest, dist.ReduceOp.MIN)
    dist.all_reduce(highest, dist.ReduceOp.MAX)
    differs = (lowest != highest).any(1).tolist()
    found = {}
    for (name, value), different in zip(buffers.items(), differs, strict=True):
        if different:
            found[name] = each_process(value)
    return found


def restore_own_buffers(modules: Mapping[str, nn.Module], values: Mapping[str, list[Tensor]]) -> None:
    """Take back what this process had."""
    buffers = {f"{part}.{name}": value for part, module in modules.items() for name, value in module.named_buffers()}
    for name, parts in values.items():
        buffers[name].copy_(parts[rank()])


def _digest(value: Tensor) -> Tensor:
    """(4,) int64, equal for equal bits."""
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return torch.frombuffer(bytearray(hashlib.sha256(content).digest()), dtype=torch.int64)


def same_buffers(trainer: Trainer) -> None:
    """Give every process the buffers of the first; each keeps statistics of its own batches until then."""
    if world_size() == 1:
        return
    for model in trainer.models.values():
        for buffer in model.buffers():
            if buffer.device.type == trainer.device.type:
                dist.broadcast(buffer, 0)
    if trainer.run is not None:
        trainer.run.update.keep_buffers()
