"""FSDP2 on one process: its cost where there is nothing to share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch.distributed as dist
import training_loops
from clock import Clock, costs
from jobs import Job, jobs
from part import Part, Rows, Setting
from torch import nn


def _shard(model: nn.Module) -> None:
    """Shard each layer of the decoder, then the rest."""
    from torch.distributed.fsdp import fully_shard

    for layer in model.model.layers:  # type: ignore[union-attr]
        fully_shard(layer)
    fully_shard(model)


def _rows(setting: Setting) -> Rows:
    dist.init_process_group(
        "nccl" if setting.device == "cuda" else "gloo", store=dist.HashStore(), rank=0, world_size=1
    )
    job, done = jobs(setting)["decoder"](), {}
    loops: dict[str, Callable[..., None]] = {
        "plain": training_loops.plain,
        "plain, FSDP2": partial(training_loops.plain, prepare=_shard),
        "Distill": training_loops.distill,
        "Distill, FSDP2": partial(training_loops.distill, prepare=_shard),
    }
    try:
        for name, loop in loops.items():
            yield f"{job.name}: {name}", partial(_measure, job, loop, done, setting)
    finally:
        dist.destroy_process_group()


def _measure(job: Job, loop: Callable[..., None], done: dict[str, float], setting: Setting) -> Sequence[str]:
    clock = Clock(setting)
    loop(job, clock, setting)
    return costs(clock, done.setdefault("plain", clock.seconds))


PART = Part(
    "FSDP2 on one process",
    "The student is sharded layer by layer over a single process, so nothing is sent, and what remains is the cost of FSDP2 itself.",
    ("job and loop", "ms per step", "relative to plain", "peak GiB", "loss of the last block"),
    40,
    _rows,
)
