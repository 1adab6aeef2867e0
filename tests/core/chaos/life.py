"""One life of a run: its processes, each a fork of this one, and the ways in which they are killed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill_core.train import Trainer

from .runs import experiment

LONGEST = 300.0  # seconds that one life may take on a busy machine
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree"}


@dataclass(frozen=True)
class Run:
    """The folder, the experiment and the number of processes that all lives of a run share.

    Args:
        folder: The run's folder.
        group: The experiment, as in `runs.experiment`.
        processes: Number of ranks.
    """

    folder: Path
    group: int
    processes: int


class Life:
    """The processes of one life, from the start or the newest checkpoint of a run.

    Args:
        run: The run.
        workers: Number of reading workers of each process.
        fatal: A rank and the index of its access to the run's folder at which it kills itself, if it does.
    """

    def __init__(self, run: Run, workers: int, fatal: tuple[int, int] | None = None) -> None:
        self.run = run
        self.log = run.folder.with_suffix(".log")
        self.codes: dict[int, int] = {}
        port = _free_port()
        self.pids = {rank: self._fork(rank, port, workers, fatal) for rank in range(run.processes)}

    @property
    def running(self) -> list[int]:
        """The ranks that have not ended."""
        return [rank for rank in self.pids if rank not in self.codes]

    def wait(self, seconds: float, *, for_all: bool = False) -> bool:
        """Return whether all ended within this time; without `for_all`, also once one of them has failed."""
        end = time.monotonic() + seconds
        while self.running and time.monotonic() < end:
            if not for_all and any(self.codes.values()):
                return True
            self._reap(os.WNOHANG)
            time.sleep(0.002)
        return not self.running

    def kill(self, ranks: list[int]) -> None:
        """Send SIGKILL to these ranks and reap them; their reading workers end by themselves."""
        for rank in ranks:
            os.kill(self.pids[rank], signal.SIGKILL)
        for rank in ranks:
            self.codes[rank] = os.waitpid(self.pids[rank], 0)[1]

    def killed(self) -> list[int]:
        """Return the ranks that died by SIGKILL."""
        return [rank for rank, code in self.codes.items() if code == signal.SIGKILL]

    def fail(self, message: str) -> None:
        """End the test with the last output of the run."""
        self.kill(self.running)
        sys.exit(f"{message}: {self.run} {self.codes}\n{self.log.read_text()[-6000:] if self.log.is_file() else ''}")

    def _reap(self, options: int) -> None:
        for rank in self.running:
            pid, code = os.waitpid(self.pids[rank], options)
            if pid:
                self.codes[rank] = code

    def _fork(self, rank: int, port: int, workers: int, fatal: tuple[int, int] | None) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            if self.run.processes > 1:
                os.environ |= {
                    "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.run.processes),
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                }  # fmt: skip
            accesses = watch(self.run.folder, fatal[1] if fatal and fatal[0] == rank else None)
            live(self.run, workers)
            accesses_file(self.run, rank).write_text(str(accesses()))
            code = 0
        except BaseException:  # noqa: BLE001  the outermost frame of a fork
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)


def live(run: Run, workers: int) -> None:
    """Start the run or resume it, to its end."""
    trainer = Trainer(experiment(run.group, workers, run.processes), output=run.folder)
    trainer.fit(resume=(run.folder / "checkpoints" / "latest").is_file())


def watch(folder: Path, fatal: int | None) -> Callable[[], int]:
    """Count this process's accesses to the folder, and die at the one with index `fatal`; return the counter."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in EVENTS and arguments and str(folder) in str(arguments[0]):
            if count == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    sys.addaudithook(hook)
    return lambda: count


def accesses_file(run: Run, rank: int) -> Path:
    """Return the file in which a rank leaves its number of accesses to the folder."""
    return run.folder.with_suffix(f".accesses-{rank}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
