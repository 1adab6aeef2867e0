"""The runs of a sweep: their folders, their checks, and running one of them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ...errors import DistillError
from .._exit import refuse, with_notes
from .._flatten import leaves
from .._run_files import RESOLVED, RESULTS, newest_version
from ._grid import Sweep
from ._ranking import refuse_unranked

if TYPE_CHECKING:
    from ...train import Callback

LONGEST_NAME = 120


class PrunedError(DistillError):
    """Ends the run of a setting that is not worth finishing."""


@dataclass(frozen=True)
class SweepRuns:
    """The runs of a sweep, each in its own folder.

    Attributes:
        sweep: The experiment and what is the same for all runs.
        folder: The folder that holds those of the runs.
        progress: Where to write a line for each run.
        change: Accept changes of unfinished runs that do not affect what was trained so far.
        trust: Packages whose objects the experiment may name besides the trusted ones.
        metric: The metric that ranks the runs; by default the one that selects the checkpoint.
    """

    sweep: Sweep
    folder: Path
    progress: TextIO
    change: bool = False
    trust: Sequence[str] = ()
    metric: str = ""

    def folders(self, points: Iterable[Mapping[str, str]]) -> dict[Path, dict[str, str]]:
        """Return the folder of each point."""
        return {self.folder / name_of(point): dict(point) for point in points}

    def check(self, points: Mapping[Path, Mapping[str, str]]) -> None:
        """Check the experiment of each point without importing anything that it names.

        Raises:
            ConfigError: An experiment has problems, its runs cannot be ranked, or its folder has a finished run of another one.
        """
        from .._load import load_document

        for path, point in points.items():
            document = load_document(self.sweep.experiment, self._changes(point), self.trust)
            refuse_unranked(leaves(document.root), self.metric)
            resolved = document.dump()
            old = newest_version(path, RESOLVED)
            if (path / RESULTS).is_file() and old.is_file() and old.read_text(encoding="utf-8") != resolved:
                refuse(f"the run in {path} is of another experiment: {RESOLVED} differs", "choose another --output")

    def run(self, path: Path, point: Mapping[str, str], number: str, callbacks: Sequence[Callback] = ()) -> bool:
        """Run a point unless it is finished; return whether it is finished now.

        Args:
            path: Folder of the run.
            point: Its values.
            number: `3/20`, printed before the name of the folder.
            callbacks: Further callbacks of the run.

        Raises:
            PrunedError: A callback ended the run.
        """
        title = f"{number} {path.name}"
        if (path / RESULTS).is_file():
            print(f"{title}: already finished", file=self.progress, flush=True)
            return True
        from ._run import run_experiment

        print(title, file=self.progress, flush=True)
        try:
            run_experiment(
                self.sweep.experiment, self._changes(point), output=path, resume=True, change=self.change,
                trust=self.trust, quiet=True, callbacks=callbacks,
            )  # fmt: skip
        except PrunedError as pruned:
            print(f"{path.name}: {pruned.message}", file=self.progress, flush=True)
            raise
        except Exception as error:  # noqa: BLE001  the other runs continue after any error
            print(f"{path.name} failed: {with_notes(str(error), error)}", file=sys.stderr, flush=True)
            return False
        return True

    def _changes(self, point: Mapping[str, str]) -> list[str]:
        return [*self.sweep.constant, *(f"{key}={value}" for key, value in point.items())]


def name_of(point: Mapping[str, str]) -> str:
    """Return the name of a run's folder.

    >>> name_of({"stages.0.optimizer.lr": "1.0e-5", "seed": "3"})
    'lr=1.0e-5,seed=3'
    """
    from hashlib import sha256

    parts = [f"{key.rpartition('.')[2]}={value}" for key, value in point.items()]
    name = re.sub(r"[^A-Za-z0-9.,=+_-]+", "_", ",".join(parts))
    plain = name == ",".join(parts) and len({key.rpartition(".")[2] for key in point}) == len(point)
    if plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{sha256(json.dumps(dict(point)).encode()).hexdigest()[:8]}"
