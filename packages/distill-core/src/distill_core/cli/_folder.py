"""The folder of a run: where it is, and the record of what was run on what."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import platform
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..records import write_record
from ._changed import Changes, changes_of, newest_config, next_version, numbered, refuse_changes
from ._exit import refuse
from ._git import git_state

if TYPE_CHECKING:
    from ..config import Document

SOURCE, RESOLVED, COMMAND, ENVIRONMENT, LOG, METRICS, RESULTS = (
    "config.source.yaml",
    "config.resolved.yaml",
    "command.txt",
    "environment.json",
    "log.txt",
    "metrics.jsonl",
    "results.json",
)
PACKAGES = [
    "distill-core",
    "distill-vision",
    "distill-nlp",
    "distill-zoo",
    "accelerate",
    "datasets",
    "evaluate",
    "numpy",
    "pycocotools",
    "pyyaml",
    "safetensors",
    "scikit-learn",
    "torch",
    "torchvision",
    "transformers",
]


def choose_folder(file: Path, output: Path | None, *, resume: bool, num_processes: int = 1) -> Path:
    """The folder that a run writes into: `output`, or `runs/<folder of the file>/<name of the file>/<time, UTC>`.

    Raises:
        ConfigError: It was not said in which folder to resume, or where several processes are to write.
    """
    if output is not None:
        return output
    if resume:
        refuse("--resume goes on in the folder of a run", "give it with --output DIR")
    if num_processes > 1:
        refuse("several processes have one folder together", "give it with --output DIR")
    moment = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return Path("runs") / file.resolve().parent.name / file.stem / moment


def prepare_folder(
    folder: Path, *, source: Path, document: Document, command: Sequence[str], resume: bool, change: bool = False
) -> Changes:
    """Write what is to be run: the file, the file with everything resolved, and the command that repeats the run.

    With accepted changes these are written beside the earlier ones, with a number. Returns the changes.

    Raises:
        ConfigError: There is something in the folder already and the run is not to be resumed, or it is to be resumed
            and the folder has checkpoints of another experiment.
    """
    if not resume and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        refuse(f"{folder} exists and is not empty", "go on with --resume, or choose another --output")
    folder.mkdir(parents=True, exist_ok=True)
    has_begun = has_checkpoint(folder)
    changes = _accepted_changes(folder, document, change=change) if has_begun else {}
    records: dict[str, str | bytes] = {
        SOURCE: source.read_bytes(),
        RESOLVED: document.dump(),
        COMMAND: shlex.join(command) + "\n",
    }
    number = next_version(folder, RESOLVED)
    for name, content in records.items():
        file = numbered(folder, name, number) if changes else folder / name
        if changes or not (has_begun and file.is_file()):
            write_record(file, content)
    return changes


def _accepted_changes(folder: Path, document: Document, *, change: bool) -> Changes:
    """How a file differs from that of the run in a folder, if that is accepted."""
    newest = newest_config(folder, RESOLVED)
    if not newest.is_file() or newest.read_text(encoding="utf-8", errors="replace") == document.dump():
        return {}
    try:
        changes = changes_of(newest, document)
    except ConfigError:  # a damaged record
        changes = {}
    if not changes:
        hint = f"give the file and the changes that are in {folder / COMMAND}, or choose another --output"
        refuse(f"the run in {folder} is of another experiment: {newest.name} differs", hint)
    refuse_changes(folder, changes, change=change)
    return changes


def has_checkpoint(folder: Path) -> bool:
    """Whether a run in this folder has come far enough to be resumed; its checkpoints may be damaged."""
    return any((folder / "checkpoints").glob("step-*"))


def write_environment(folder: Path, device: Any) -> None:
    """Write `environment.json`; a resumed run leaves that of its start as it is."""
    if not (has_checkpoint(folder) and (folder / ENVIRONMENT).is_file()):
        write_record(folder / ENVIRONMENT, json.dumps(environment(str(device)), indent=1) + "\n")


def remove_refused(folder: Path) -> None:
    """Remove the folder of a run that was refused before it trained, and the folders around it that are empty."""
    if (folder / METRICS).exists() or has_checkpoint(folder):
        return
    if any(path.name not in {SOURCE, RESOLVED, COMMAND, ENVIRONMENT, LOG} for path in folder.iterdir()):
        return
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):  # not empty
        for parent in folder.parents:
            parent.rmdir()


def environment(device: str) -> dict[str, Any]:
    """What the run ran on: versions of everything that can change a number, device, commit."""
    import torch

    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "torch": {"version": torch.__version__, "cuda": torch.version.cuda, "threads": torch.get_num_threads()},
        "device": device,
        "device_name": torch.cuda.get_device_name() if device.startswith("cuda") else platform.processor(),
        "git": git_state(),
    }


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
