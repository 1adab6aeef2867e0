"""The ML Code Completeness Checklist of Papers with Code, answered from the folder of a finished run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..records import read_record
from ._runs import RESULTS


@dataclass(frozen=True)
class ChecklistItem:
    """One item of the checklist.

    Attributes:
        subject: The item in the words of the checklist.
        done: Whether the run has it.
        detail: Where it is, or what to do.
    """

    subject: str
    done: bool
    detail: str

    def __str__(self) -> str:
        return f"- [{'x' if self.done else ' '}] {self.subject}: {self.detail}"


def checklist(run: Path | str) -> list[ChecklistItem]:
    """Return the five items of the ML Code Completeness Checklist for a finished run.

    Args:
        run: The folder of the run.

    Raises:
        DataError: A record of the run is damaged.
    """
    folder = Path(run)
    results = read_record(folder / RESULTS)
    command = _text(folder / "command.txt").partition("\n")[0]
    tested = results.get("test") or {}
    return [
        _dependencies(folder),
        _training(folder, command),
        ChecklistItem(
            "Evaluation code", bool(tested), f"`distill evaluate {folder}`" if tested else "add `test:` to the file"
        ),
        _models(folder, results.get("files") or {}),
        _table(tested, results.get("percent") or [], command),
    ]


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip() if file.is_file() else ""


def _dependencies(folder: Path) -> ChecklistItem:
    file = folder / "environment.json"
    packages = (read_record(file) if file.is_file() else {}).get("packages") or {}
    found = f"{len(packages)} packages with their versions in {file.name}"
    return ChecklistItem(
        "Specification of dependencies", bool(packages), found if packages else f"{file.name} is missing"
    )


def _training(folder: Path, command: str) -> ChecklistItem:
    source = folder / "config.source.yaml"
    done = bool(command) and source.is_file()
    missing = source.name if command else "command.txt"
    return ChecklistItem("Training code", done, f"`{command}`, with {source.name}" if done else f"{missing} is missing")


def _models(folder: Path, files: Mapping[str, Any]) -> ChecklistItem:
    """Return whether the weights have the sizes that the run recorded."""
    subject = "Pre-trained models"
    if not files:
        return ChecklistItem(subject, False, "the run has not written weights")
    for name, record in files.items():
        file = folder / name
        if not file.is_file() or file.stat().st_size != record["bytes"]:
            return ChecklistItem(
                subject, False, f"{name} is missing or differs from the run's; publish it with the run"
            )
    return ChecklistItem(
        subject, True, ", ".join(f"{name} (SHA-256 {record['sha256'][:12]})" for name, record in files.items())
    )


def _table(tested: Mapping[str, Any], percent: list[str], command: str) -> ChecklistItem:
    subject = "Table of results with commands"
    if not (tested and command):
        return ChecklistItem(subject, False, "the run has no test results" if command else "command.txt is missing")
    shown = (
        f"{name} {100 * value:.2f} %" if name in percent else f"{name} {value:g}" for name, value in tested.items()
    )
    return ChecklistItem(subject, True, f"{', '.join(shown)} on the test split, by the command above")
