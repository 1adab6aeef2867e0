"""The command line that repeats a run, for `command.txt`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ._torchrun import run_words

if TYPE_CHECKING:
    from ...train import Callback


def command_of(
    file: Path,
    overrides: Sequence[str],
    folder: Path,
    *,
    trust: Sequence[str] = (),
    num_processes: int = 1,
    environment: Mapping[str, str] = os.environ,
) -> list[str]:
    """Return the words of the command that starts a run again in the same folder, without `--resume`.

    It is `distill launch` for several processes of one machine. Those of several machines share one `distill run` each.

    >>> command_of(Path("kd.yaml"), ["seed=1"], Path("my runs/a"), trust=["mine"])
    ['distill', 'run', 'kd.yaml', 'seed=1', '--output', 'my runs/a', '--trust', 'mine']
    """
    words = run_words(file, overrides, folder, trust=trust)
    if num_processes > 1 and environment.get("LOCAL_WORLD_SIZE") == str(num_processes):
        import torch

        kind = "--gpus" if torch.cuda.is_available() else "--processes"
        words = ["launch", *words[1:], kind, str(num_processes)]
    return ["distill", *words]


def record_of(command: Sequence[str], callbacks: Sequence[Callback] = ()) -> str:
    r"""Return the content of `command.txt`: a line for a shell, and a comment that names the callbacks which Python added.

    >>> record_of(["distill", "run", "my file.yaml"])
    "distill run 'my file.yaml'\n"
    """
    names = ", ".join(type(callback).__name__ for callback in callbacks)
    comment = f"# run_experiment in Python added callbacks, which this command lacks: {names}\n" if names else ""
    return shlex.join(command) + "\n" + comment
