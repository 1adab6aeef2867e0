"""The output folder of a run: its path, and the records of the configuration and the environment."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import platform
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..records import write_record
from ._changed import Changes, changes_of, refuse_changes
from ._code import changes_of_code
from ._distributions import imported_distributions
from ._exit import refuse
from ._git import git_state
from ._run_files import (
    CODE,
    COMMAND,
    ENVIRONMENT,
    LOCK,
    LOG,
    METRICS,
    RESOLVED,
    SOURCE,
    has_checkpoint,
    newest_version,
    next_version,
    numbered,
)

if TYPE_CHECKING:
    from ..config import Document


def choose_folder(file: Path, output: Path | None, *, resume: bool, num_processes: int = 1) -> Path:
    """Return the output folder of a run: `output`, or `runs/<folder of the file>/<name of the file>/<time, UTC>`.

    Raises:
        ConfigError: No folder is given for a resumed run or for several processes.
    """
    if output is not None:
        return output
    if resume:
        refuse("--resume requires the folder of the run", "add --output DIR")
    if num_processes > 1:
        refuse("several processes require one common folder", "add --output DIR")
    time = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return Path("runs") / file.resolve().parent.name / file.stem / time


def prepare_folder(
    folder: Path, *, source: Path, document: Document, command: str, resume: bool, change: bool = False
) -> Changes:
    """Write the file, its resolved form and the command that repeats the run.

    Accepted changes are written beside the earlier files, with a version number.

    Returns:
        The accepted changes of a resumed run.

    Raises:
        ConfigError: The folder is not empty and the run is not resumed, or the folder has checkpoints of another
            experiment.
    """
    if not resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        refuse(f"{folder} exists and is not empty", "resume the run with --resume, or choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    is_resumed = has_checkpoint(folder)
    changes = _accepted_changes(folder, document, change=change) if is_resumed else {}
    records: dict[str, str | bytes] = {
        SOURCE: source.read_bytes(),
        RESOLVED: document.dump(),
        COMMAND: command,
    }
    version = next_version(folder, RESOLVED)
    for name, content in records.items():
        file = numbered(folder, name, version) if changes else folder / name
        if changes or not (is_resumed and file.is_file()):
            write_record(file, content)
    return changes


def _accepted_changes(folder: Path, document: Document, *, change: bool) -> Changes:
    """Return the changes of a file since the run in a folder, or refuse them."""
    newest = newest_version(folder, RESOLVED)
    of_code = changes_of_code(folder, document.modules or document.path.parent)
    is_same = not newest.is_file() or newest.read_text(encoding="utf-8", errors="replace") == document.dump()
    if is_same and not of_code:
        return {}
    try:
        changes = {} if is_same else changes_of(newest, document)
    except ConfigError:  # a damaged record
        changes = {}
    if not changes and not is_same:
        hint = f"use the file and the overrides in {folder / COMMAND}, or choose another --output"
        refuse(f"the run in {folder} is of another experiment: {newest.name} differs", hint)
    changes |= of_code
    refuse_changes(folder, changes, change=change)
    return changes


def write_environment(folder: Path, device: Any, modules: Mapping[str, str]) -> None:
    """Write `environment.json`; a resumed run keeps the file of its start.

    Args:
        folder: Output folder of the run.
        device: The device.
        modules: The SHA-256 of each copied module beside the experiment.
    """
    if not (has_checkpoint(folder) and (folder / ENVIRONMENT).is_file()):
        record = environment(str(device)) | ({"modules": dict(modules)} if modules else {})
        write_record(folder / ENVIRONMENT, json.dumps(record, indent=1) + "\n")


def remove_refused(folder: Path) -> None:
    """Remove the folder of a run that was refused before it trained, and its empty parent folders."""
    if (folder / METRICS).exists() or has_checkpoint(folder):
        return
    if any(path.name not in {SOURCE, RESOLVED, COMMAND, ENVIRONMENT, LOG, LOCK, CODE} for path in folder.iterdir()):
        return
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # not empty
        for parent in folder.parents:
            parent.rmdir()


def environment(device: str) -> dict[str, Any]:
    """Return the versions of the distributions that are imported, the device, the commit and the working directory."""
    import torch

    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": imported_distributions(),
        "torch": {"version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()},
        "device": device,
        "device_name": torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor(),
        "git": git_state(),
        "working_directory": str(Path.cwd()),  # relative paths of the file start here
    }
