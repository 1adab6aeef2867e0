"""The time of a step with each way to compile it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import training_loops
from clock import Clock, costs
from jobs import Job, jobs
from part import Part, Rows, Setting, SkippedError

_MODES: Mapping[str, Mapping[str, Any]] = {
    "eager": {},
    "compile": {"compile": True},
    "compile, channels_last": {"compile": True, "channels_last": True},
    "CUDA graphs": {"compile": "cudagraphs"},
    "compile, CUDA graphs": {"compile": True, "graphs": True},
}


def _rows(setting: Setting) -> Rows:
    for name in ("resnet", "bert")[: 1 if setting.is_tiny else 2]:
        job, done = jobs(setting)[name](), {}
        for mode, keys in _MODES.items():
            if name == "resnet" or "channels_last" not in keys:
                yield f"{job.name}: {mode}", partial(_measure, job, dict(keys), done, setting)


def _measure(job: Job, keys: dict[str, Any], done: dict[str, float], setting: Setting) -> Sequence[str]:
    graphs = keys.pop("graphs", False)
    if setting.device == "cpu" and (graphs or keys.get("compile") == "cudagraphs"):
        message = "needs a GPU"
        raise SkippedError(message)
    if setting.is_tiny and keys.get("compile") is True:
        keys["compile"] = "eager"  # only traced: inductor takes a minute
    torch.compiler.reset()
    clock = Clock(setting)
    config: Any = torch._inductor.config if graphs else None  # noqa: SLF001
    with config.patch({"triton.cudagraphs": True}) if graphs else contextlib.nullcontext():
        training_loops.distill(job, clock, setting, **keys)
    return costs(clock, done.setdefault("eager", clock.seconds))


PART = Part(
    "Compile modes",
    "A step of this project's trainer. `CUDA graphs` is torch's backend `cudagraphs`; the last mode is inductor with CUDA graphs.",
    ("job and mode", "ms per step", "relative to eager", "peak GiB", "loss of the last block"),
    110,
    _rows,
)
