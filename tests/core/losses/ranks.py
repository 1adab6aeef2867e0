"""Each case of the table on two processes, compared with one process that sees the whole batch; run by test_laws.py.

    torchrun --standalone --nproc-per-node 2 -m losses.ranks OUTPUT_PREFIX      (PYTHONPATH=tests/core)

Writes OUTPUT_PREFIX.<rank>.json: case → the greatest difference of loss, gradients and buffers, or the error; and of what
losses of local batches remember of all processes'.
"""

from __future__ import annotations

import datetime as dt
import gc
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .cases import BATCH, Case, apply, samples, table, twin, value_and_gradients


def used(loss: nn.Module, inputs: dict[str, Any]) -> list[Tensor]:
    """[loss, gradients to a shift of the student that all samples share, gradients to the loss's parameters]."""
    shifts: list[Tensor] = []

    def shifted(tensor: Tensor) -> Tensor:
        shifts.append(torch.zeros_like(tensor[0], requires_grad=True))
        return tensor + shifts[-1]

    inputs = {name: apply(shifted, value) if name == "student" else value for name, value in inputs.items()}
    value, gradients = value_and_gradients(loss, inputs, [*shifts, *loss.parameters()])
    return [value, *gradients]


def shard(loss: nn.Module) -> Tensor:
    """Which samples are this process's: equal parts, or unequal ones where all processes are looked at."""
    first = BATCH // 2 if loss.reduction_scope == "sample" else BATCH // 2 - 1
    return torch.arange(first) if dist.get_rank() == 0 else torch.arange(first, BATCH)


def difference(ours: list[Tensor], others: list[Tensor]) -> float:
    """The greatest difference, relative to the greatest number where that is above 1."""
    pairs = zip(ours, others, strict=True)
    return max((float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in pairs if a.numel()), default=0.0)


def compare(case: Case, whole: list[Tensor], reference: nn.Module, loss: nn.Module) -> dict[str, Any]:
    """The case on this process's part, averaged as data-parallel training does, against the whole."""
    try:
        parts = used(loss, samples(case.draw(), shard(loss)))
        for part in parts:
            dist.all_reduce(part)
        averages = [part / dist.get_world_size() for part in parts]
        buffers = [[b.nan_to_num() for b in module.buffers()] for module in (loss, reference)]
        return {
            "loss": difference(averages[:1], whole[:1]),
            "gradients": difference(averages[1:], whole[1:]),
            "buffers": difference(*buffers),
        }
    except Exception as error:  # noqa: BLE001 - reported by the test of this case
        return {"error": f"{type(error).__name__}: {error}"}


def remembered(loss: nn.Module, names: tuple[str, ...]) -> list[Tensor]:
    """The buffers of these names, and those below them."""
    return [b.float() for name, b in loss.named_buffers() if any((name + ".").startswith(n + ".") for n in names)]


def compare_memories(case: Case, whole: nn.Module, loss: nn.Module) -> dict[str, float]:
    """What a loss remembers of the processes' parts: against the first process, and against one that saw all."""
    part = samples(case.draw(), shard(loss))
    torch.manual_seed(dist.get_rank())
    loss(**part)
    mine = remembered(loss, case.equal)
    first = [buffer.clone() for buffer in mine]
    for buffer in first:
        dist.broadcast(buffer, 0)
    return {
        "equal": difference(mine, first),
        "whole": difference(remembered(loss, case.whole), remembered(whole, case.whole)),
    }


def main(output: str) -> None:
    cases = [case for case in table() if case.splits and case.loss().reduction_scope != "local"]
    references = [case.ready() for case in cases]
    losses = [twin(loss) for loss in references]
    wholes = [used(loss, case.draw()) for case, loss in zip(cases, references, strict=True)]
    remembering = [case for case in table() if case.equal]
    memories = [case.ready() for case in remembering]
    fresh = [twin(loss) for loss in memories]
    for case, loss in zip(remembering, memories, strict=True):
        loss(**case.draw())
    dist.init_process_group("gloo", timeout=dt.timedelta(seconds=60))
    found = {case.name: compare(case, *rest) for case, *rest in zip(cases, wholes, references, losses, strict=True)}
    found |= {
        case.name: compare_memories(case, *rest) for case, *rest in zip(remembering, memories, fresh, strict=True)
    }
    Path(f"{output}.{dist.get_rank()}.json").write_text(json.dumps(found))
    gc.collect()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
