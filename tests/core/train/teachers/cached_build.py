"""Builds a cache ahead of a run, as `distill cache build` does; as a script, one life of a process that may be killed.

cached_build.py CACHE [CALL OF THE TEACHER AT WHICH IT IS KILLED]     under torchrun or alone
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import torch
import torch.distributed as dist

from distill_core.experiment import CacheSettings
from distill_core.preview import build_caches
from distill_core.train import Trainer
from distill_core.train.teachers import _caches


def build(folder: str, kill: int = 0) -> int:
    """Build two views of 40 samples in batches of 6; gives how often the teacher was called."""
    import cached_run  # beside this file, where only a script finds it

    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    processes = int(os.environ.get("WORLD_SIZE", "1"))
    made = cached_run.experiment(None, processes=processes, cache={"teacher": CacheSettings(folder=folder, views=2)})
    made.models["teacher"][0].register_forward_hook(count)
    _caches.FLUSH_EVERY = 0.0
    build_caches(Trainer(made), lambda _line: None)
    return calls


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"calls: {build(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 0)}")
    if dist.is_initialized():
        dist.destroy_process_group()
