"""`distill doctor`: diagnose this machine without using the network."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ....errors import DistillError
from ..._command import Command
from ..._options import json_option
from ._finding import Finding, note, ok, problem

_NO = ("", "0", "false", "no", "off")
NEEDED, PLENTY = 1e9, 10e9


@click.command(cls=Command)
@json_option
def doctor(as_json: bool) -> None:
    """Diagnose this machine: devices and known problems.

    The network is not used.
    """
    from ._machine import machine
    from ._versions import versions

    findings = [ok("python", f"{platform.python_version()}, {platform.platform()}")]
    findings += [*versions(), *machine(), *disk(Path("runs")), *data(os.environ), *hub(os.environ), *zoo(os.environ)]
    print(json.dumps([asdict(finding) for finding in findings], indent=1) if as_json else as_text(findings))
    count = sum(finding.state == "problem" for finding in findings)
    if count:
        message = f"{count} problem{'s' * (count > 1)}"
        raise DistillError(message)


def as_text(findings: list[Finding]) -> str:
    """Return a line for each finding: state, subject, message; its hint is on the line below."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<7}  {finding.subject:<{width}}  {finding.message}")
        lines += [f"{'':<7}  {'':<{width}}  → {finding.hint}"] if finding.hint else []
    return "\n".join(lines)


def disk(runs: Path) -> Iterator[Finding]:
    """Check that the folder of runs is writable, and its free disk space."""
    import shutil

    path = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    if not path.is_dir() or not os.access(path, os.W_OK):
        yield problem("disk", f"{path} is not writable", "run in another folder, or add --output DIR")
        return
    free = shutil.disk_usage(path).free
    message = f"{free / 1e9:.1f} GB free for runs in {runs.absolute()}"
    hint = "checkpoints and teacher caches need disk space: free some, or add --output DIR"
    if free < NEEDED:
        yield problem("disk", message, hint)
    else:
        yield ok("disk", message) if free >= PLENTY else note("disk", message, hint)


def data(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check the folder of datasets."""
    setting = environment.get("DISTILL_DATA", "")
    if not setting:
        yield note("DISTILL_DATA", "not set: datasets are read from ~/.cache/distill/data")
        return
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        yield problem("DISTILL_DATA", f"{folder} is not a folder", "set it to the folder with the datasets")
        return
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    content = f"{', '.join(names[:6])}{', …' if len(names) > 6 else ''}" if names else "no folders"
    yield ok("DISTILL_DATA", f"{folder}: {content}")


def hub(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Count the models and datasets of the Hugging Face Hub on this machine, and report the offline switches."""
    home = environment.get("HF_HOME") or str(
        Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"
    )
    cache = Path(environment.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    models, sets = (len(list(cache.glob(f"{kind}--*"))) for kind in ("models", "datasets"))
    switches = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    offline = [name for name in switches if environment.get(name, "").lower() not in _NO]
    switch = f"offline by {', '.join(offline)}" if offline else "no variable sets it offline; the network was not tried"
    message = f"{models} models and {sets} datasets in {cache}; {switch}"
    if offline and not models + sets:
        yield note("hub", message, "models and datasets cannot be loaded by their Hub names: use folders")
    else:
        yield ok("hub", message)


def zoo(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Count the pretrained weights on this machine."""
    try:
        package: Any = importlib.import_module("distill_zoo")
    except ModuleNotFoundError:
        return
    names = package.list_models()
    num_cached = sum(package.cached(name) is not None for name in names)
    home = Path(environment.get("DISTILL_HOME") or "~/.cache/distill").expanduser()
    offline = environment.get("DISTILL_OFFLINE", "").lower() not in _NO
    yield ok(
        "zoo",
        f"{num_cached} of {len(names)} weights are on this machine (in the package, or in {home}){'; offline by DISTILL_OFFLINE' if offline else ''}",
    )
