"""Faults while the shards of a checkpoint are written: a full disk, and processes that are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint import hf_storage

from distill_core.train.checkpoints import _files

FIRST, SECOND = "step-00000002", "step-00000004"


def fail_from(number: int) -> None:
    """Let this process fail to write its shards, from a checkpoint on."""
    write, count = hf_storage.HuggingFaceStorageWriter.write_data, iter(range(100))

    def fails(writer: Any, *args: Any) -> Any:
        if next(count) >= number:
            raise OSError(28, "No space left on device")
        return write(writer, *args)

    hf_storage.HuggingFaceStorageWriter.write_data = fails


def kill_in(moment: str, checkpoints: Path) -> None:
    """Kill a process while the second checkpoint is written.

    Args:
        moment: `shards`: the second process, with half a file of shards. `state`: the main process, with all files but the
            manifest. `pointer`: the main process, with a complete checkpoint that nothing names yet.
        checkpoints: The folder of checkpoints.
    """
    if moment == "shards" and os.environ["RANK"] == "1":
        write = hf_storage.HuggingFaceStorageWriter.write_data

        def killing(writer: Any, *args: Any) -> Any:
            written = write(writer, *args)
            if (checkpoints / FIRST).is_dir():
                file = next((checkpoints / f".{SECOND}.tmp" / "shards").glob("shard-00002-*"))
                os.truncate(file, file.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return written

        hf_storage.HuggingFaceStorageWriter.write_data = killing
    if moment in ("state", "pointer") and os.environ["RANK"] == "0":
        name = {"state": "sync", "pointer": "write_record"}[moment]
        call = getattr(_files, name)

        def killing_main(path: Path, *args: Any) -> Any:
            if (checkpoints / (SECOND if moment == "pointer" else FIRST)).is_dir() and SECOND in f"{path}{args}":
                os.kill(os.getpid(), signal.SIGKILL)
            return call(path, *args)

        setattr(_files, name, killing_main)
