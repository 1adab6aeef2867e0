"""The content of a run's output folder, finished or not; nothing that it names is built or imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import read
from ..errors import DataError
from ..records import fingerprint, parse_record, read_record
from ._exit import refuse
from ._flatten import leaves
from ._run_files import ENVIRONMENT, METRICS, RESOLVED, RESULTS, newest_version

POSITION = ("stage", "epoch", "step")


@dataclass(frozen=True)
class Run:
    """The records in a run's output folder.

    Attributes:
        folder: The output folder.
        config: Key → value of `config.resolved.yaml`.
        environment: Key → value of `environment.json`; empty if the file does not exist.
        results: The content of `results.json`; None for an unfinished run.
        last: The last line of `metrics.jsonl`; None if nothing is logged yet.
    """

    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    results: Mapping[str, Any] | None
    last: Mapping[str, Any] | None

    def state(self) -> str:
        """Return `finished`, or the progress of the run."""
        if self.results is not None:
            return "finished"
        if self.last is None:
            return "not finished: nothing is logged yet"
        stage = int(self.last["stage"])
        keys = [f"stages.{index}.{name}" for index in range(stage, -1, -1) for name in ("epochs", "steps")]
        given = next((key for key in keys if self.config.get(key) is not None), "")  # a stage inherits what it omits
        epochs = f" of {self.config[given]}" if given.endswith("epochs") else ""
        return f"not finished: stage {stage + 1}, epoch {self.last['epoch']}{epochs}, step {self.last['step']}"


def read_run(folder: Path) -> Run:
    """Read the output folder of a run.

    Raises:
        ConfigError: The folder is not the folder of a run.
    """
    if not (folder / RESOLVED).is_file():
        refuse(f"{folder} is not the folder of a run: it has no {RESOLVED}")
    config = leaves(read(newest_version(folder, RESOLVED)).root)
    environment, results = (_read(folder / name) for name in (ENVIRONMENT, RESULTS))
    return Run(folder, config, dict(_flat(environment or {})), results, _last(folder / METRICS))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's `metrics.jsonl` that state stage, epoch, step and split; none without the file.

    Raises:
        DataError: A line is not a JSON object.
    """
    file = folder / METRICS
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    complete = [(number, line) for number, line in enumerate(lines, start=1) if line.endswith(b"\n")]
    records = [parse_record(line, f"line {number} of {file}") for number, line in complete]
    return [each for each in records if all(isinstance(each.get(key), int) for key in POSITION) and "split" in each]


def check_recorded(file: Path) -> None:
    """Check a file of a finished run against the size and SHA-256 in its `results.json`, if they are there.

    Raises:
        ConfigError: The file is not the one that the run wrote.
    """
    recorded = ((_read(file.parent / RESULTS) or {}).get("files") or {}).get(file.name)
    if recorded is not None and file.is_file() and fingerprint(file) != recorded:
        refuse(
            f"{file} is damaged: its size or SHA-256 differs from the one in {RESULTS}",
            "restore it from a copy, or train again in another folder",
        )


def _read(file: Path) -> dict[str, Any] | None:
    return read_record(file) if file.is_file() else None


def _last(file: Path) -> dict[str, Any] | None:
    """Return the last complete line: a run may be writing one now."""
    lines = file.read_bytes().splitlines(keepends=True)[-2:] if file.is_file() else []
    complete = [line for line in lines if line.endswith(b"\n")]
    if not complete:
        return None
    record = parse_record(complete[-1], f"the last line of {file}")
    if missing := [name for name in POSITION if not isinstance(record.get(name), int)]:
        message = f"the last line of {file} has no number '{missing[0]}', so it is damaged or comes from elsewhere"
        raise DataError(message, hint="resume the run, which removes such lines")
    return record


def _flat(values: Mapping[str, Any], key: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{key}.{name}" if key else name
        if isinstance(value, Mapping):
            yield from _flat(value, path)
        else:
            yield path, value
