"""Launch the processes of one run by torchrun, and print the reason of a failure last.

A process that fails writes its reason to the file that torchrun names for it. When all processes have ended, the
launcher prints the first reason below the output of torchrun and the other processes:

    python -P -m distill_core.cli._ranks TORCHRUN_ARGUMENTS
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import TrainingError

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
INTERRUPTED = 130


def leave_reason(reason: str, *, is_secondhand: bool = False) -> None:
    """Write the reason why this process ends to the file that torchrun names for it, if any.

    Args:
        reason: The message.
        is_secondhand: Whether another process failed first and this one only detected it.
    """
    if path := os.environ.get(ERROR_FILE):
        extra = {"timestamp": str(int(time.time())), "is_secondhand": is_secondhand}
        with contextlib.suppress(OSError):  # torchrun's folder of logs is gone or full
            Path(path).write_text(json.dumps({"message": {"message": reason, "extraInfo": extra}}), encoding="utf-8")


class Ending(NamedTuple):
    """The end of a process; the one that sorts first caused the others."""

    order: int
    timestamp: int
    rank: int
    exit_code: int
    reason: str


def ending_of(rank: int, failure: ProcessFailure) -> Ending:
    """Classify a failure; firsthand reasons sort first, then ends without a reason, secondhand reasons and SIGTERM."""
    recorded = failure.message if isinstance(failure.message, Mapping) else None
    if recorded is not None:
        order, reason = 2 * bool(recorded["extraInfo"].get("is_secondhand")), str(recorded["message"])
    elif failure.exitcode < 0:
        name = signal.Signals(-failure.exitcode).name
        error = TrainingError(f"killed by {name}", hint="resume the run with --resume")
        order, reason = 3 if name == "SIGTERM" else 1, str(error)
    else:
        order, reason = 1, f"exit code {failure.exitcode} without a reason"
    return Ending(order, failure.timestamp, rank, failure.exitcode if failure.exitcode > 0 else 1, reason)


def main() -> None:
    """Run torchrun with the arguments of the command line, and end with the exit code of the process that failed."""
    os.environ["PYTHONSAFEPATH"] = "1"
    if any(word.startswith("--max-restarts") for word in sys.argv[1:]):
        # The default store of torchrun keeps the addresses of the processes before a restart, and new ones connect to them.
        os.environ.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main as torchrun

    try:
        torchrun(sys.argv[1:])
    except ChildFailedError as error:
        first = min(ending_of(rank, failure) for rank, failure in error.failures.items())
        print(f"process {first.rank} failed: {first.reason}", file=sys.stderr)
        sys.exit(first.exit_code)
    except SignalException:  # the processes have logged the step at which they stopped
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
