"""Kills a training run again and again and goes on with it; the end must be that of the run that nobody disturbed.

    chaos.py FOLDER --kills 30 --workers 0 2 4 --processes 1 [--seed 0]

torch is imported once: each life of the run is a fork of this process. It dies by SIGKILL, either at a random moment or
at a random one of its accesses to files in the run's folder, so that every point within the writing of a checkpoint is
met. Each life has another number of reading workers, chosen at random, which must change nothing. Prints how many kills there were, where they fell, and how many runs came to their end.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_core.data import Loader
from distill_core.train import Callback, Checkpoint, Evaluate, Experiment, Metric, Stage, Term, Trainer

LONGEST = 90.0  # seconds that one life may take on a busy machine
EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree"}


class Noisy:
    """Thirty samples, each with noise from all three global generators."""

    def __init__(self) -> None:
        self.inputs = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        noise = torch.randn(6) + random.random()
        return self.inputs[index] + 0.1 * noise, int(self.inputs[index, :3].argmax())


class TopOne:
    def reset(self) -> None:
        self.right = self.seen = 0

    def update(self, preds: Tensor, target: Tensor) -> None:
        self.right += int((preds.argmax(1) == target).sum())
        self.seen += len(target)

    def compute(self) -> float:
        return 100 * self.right / self.seen


class Bank(nn.Module):
    """A loss with a learnable part and a memory: both belong into a checkpoint."""

    reduction_scope = "sample"

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(5, 8)
        self.register_buffer("memory", torch.zeros(30, 8))

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor) -> Tensor:
        mapped = self.map(student)
        loss = (mapped - teacher).square().mean() + 0.1 * (mapped - self.memory[index]).square().mean()
        self.memory[index] = mapped.detach()
        return loss


class Counts(Callback):
    """Remembers something that changes at the end of each epoch; listed after the checkpoint on purpose."""

    def __init__(self) -> None:
        self.epochs = 0

    def on_epoch_end(self, trainer: Trainer) -> None:
        self.epochs += 1

    def on_fit_end(self, trainer: Trainer, results: dict[str, Any]) -> None:
        (trainer.output / "epochs.txt").write_text(str(self.epochs))

    def state(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state(self, state: dict[str, Any]) -> None:
        self.epochs = state["epochs"]


def experiment(workers: int, processes: int) -> Experiment:
    """Two stages of three epochs: accumulation, averages, dropout, schedules by step, checkpoints within epochs."""
    torch.manual_seed(0)
    models = {
        "teacher": nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)),
        "student": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, 3)),
    }
    bank = Term(loss=Bank(), inputs={"student": "student.2", "teacher": "teacher.1", "index": "batch.index"})
    ce = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
    loader = Loader(Noisy(), 8 if processes == 1 else 4, shuffle=True, num_workers=workers)
    metrics = {"top1": Metric(metric=TopOne(), inputs={"preds": "student_ema", "target": "batch.target"})}
    by_step = partial(torch.optim.lr_scheduler.CosineAnnealingLR)
    stages = [
        Stage(
            epochs=3, losses={"bank": bank}, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9),
            scheduler=by_step, scheduler_step="step", accumulate=2,
        ),
        Stage(losses={"ce": ce, "bank": bank}, optimizer=partial(torch.optim.AdamW, lr=0.01)),
    ]  # fmt: skip
    return Experiment(
        models=models,
        data={"train": loader},
        stages=stages,
        callbacks=[Evaluate(Loader(Noisy(), 9), metrics), Checkpoint(best="top1", every_steps=1), Counts()],
        ema={"student": 0.9},
        log_every=3,
    )


def live(folder: Path, workers: int, processes: int) -> None:
    """One life: begin or go on, to the end."""
    trainer = Trainer(experiment(workers, processes), output=folder)
    trainer.fit(resume=(folder / "checkpoints" / "latest").is_file())


def die_at(access: int, folder: Path) -> None:
    """Die at this access to the run's folder."""
    left = [access]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS and arguments and str(folder) in str(arguments[0]):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


class Life:
    """The processes of one life of a run.

    Args:
        folder: The run's folder.
        access: At which access to the folder the first process kills itself, if it does.
    """

    def __init__(self, folder: Path, workers: int, processes: int, access: int | None = None) -> None:
        port = _free_port()
        self.log = folder.with_suffix(".log")
        self.running = [self._fork(rank, port, folder, workers, processes, access) for rank in range(processes)]
        self.codes: list[int] = []

    def _fork(self, rank: int, port: int, folder: Path, workers: int, processes: int, access: int | None) -> int:
        child = os.fork()
        if child:
            return child
        code = 1
        try:
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(out, 1)
            os.dup2(out, 2)
            if processes > 1:
                os.environ |= {
                    "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                }  # fmt: skip
            if access is not None and rank == 0:
                die_at(access, folder)
            live(folder, workers, processes)
            code = 0
        except BaseException:  # noqa: BLE001  the outermost frame of a fork
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float) -> bool:
        """Whether all ended within this time; as soon as one has failed nobody waits for the others."""
        return self._wait(seconds, lambda: any(self.codes))

    def wait_for_all(self, seconds: float) -> bool:
        """Whether all ended within this time, well or not."""
        return self._wait(seconds, lambda: False)

    def _wait(self, seconds: float, enough: Callable[[], bool]) -> bool:
        end = time.monotonic() + seconds
        while self.running and not enough() and time.monotonic() < end:
            for pid in list(self.running):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    self.running.remove(pid)
                    self.codes.append(status)
            time.sleep(0.002)
        return not self.running or enough()

    def kill(self) -> None:
        """SIGKILL to all that still run; their worker processes find out by themselves."""
        for pid in self.running:
            os.kill(pid, signal.SIGKILL)
        for pid in self.running:
            os.waitpid(pid, 0)
        self.running = []


def torment(folder: Path, kills: int, workers: list[int], processes: int, seed: int) -> Counter[str]:
    """Kill runs until there were `kills` kills and the last run is through; each end is compared with the first."""
    chance = random.Random(seed)
    started = time.monotonic()
    whole = Life(folder / "whole", 0, processes)
    if not whole.wait(LONGEST) or any(whole.codes):
        fail(whole, "the undisturbed run failed")
    length = time.monotonic() - started
    expected, accesses = outcome(folder / "whole"), 400
    counts: Counter[str] = Counter()
    run = 0
    while sum(counts[kind] for kind in ("moment", "access")) < kills:
        run += 1
        done = False
        while not done:
            enough = counts["moment"] + counts["access"] >= kills
            access = None if enough or chance.random() < 0.5 else int(accesses ** chance.random())
            life = Life(folder / f"run-{run}", chance.choice(workers), processes, access)
            seconds = None if enough else length * 0.6 * chance.random()
            done = lived(life, seconds if access is None else LONGEST, counts, chance)
        found = outcome(folder / f"run-{run}")
        if different := [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]:
            sys.exit(f"run {run} of {folder} ended elsewhere: {sorted(different)} differ")
        counts["runs"] += 1
    return counts


def lived(life: Life, seconds: float | None, counts: Counter[str], chance: random.Random) -> bool:
    """Whether the run came to its end; otherwise it was killed, after `seconds` or by itself."""
    ended = life.wait(seconds or LONGEST)
    if ended and not any(life.codes):
        return True
    if ended:
        if signal.SIGKILL not in life.codes:
            fail(life, "a life ended by itself")
        counts["access"] += 1
    elif seconds in (None, LONGEST):
        fail(life, "a life does not end")
    else:
        counts["moment"] += 1
        if len(life.running) > 1 and chance.random() < 0.5:  # the others find out and end
            os.kill(chance.choice(life.running), signal.SIGKILL)
            counts["alone"] += 1
            if not life.wait_for_all(LONGEST):
                fail(life, "a process does not notice that another has died")
    life.kill()
    return False


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves behind, but for the time it took."""
    (last,) = {(folder / "checkpoints" / "latest").read_text().strip()}
    files = [folder / "student.safetensors", folder / "student_ema.safetensors", folder / "epochs.txt"]
    files += [folder / "checkpoints" / last / name for name in ("state.json", "state.safetensors")]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        **{file.name: file.read_bytes() if file.is_file() else None for file in files},
        "results.json": json.loads((folder / "results.json").read_text()) | {"seconds": 0},
        "metrics.jsonl": [{key: value for key, value in line.items() if key != "samples_per_second"} for line in lines],
        "leftovers": [path.name for path in folder.rglob("*.tmp")],
    }


def fail(life: Life, message: str) -> None:
    """End with what the run said last."""
    life.kill()
    sys.exit(f"{message}: {life.codes}\n{life.log.read_text()[-4000:] if life.log.is_file() else ''}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2, 4])
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    counts = torment(options.folder, options.kills, options.workers, options.processes, options.seed)
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
