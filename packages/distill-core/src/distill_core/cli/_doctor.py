"""`distill doctor`: what this machine has, and what would keep Distill from working on it. Nothing is downloaded."""

from __future__ import annotations

import importlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import DistillError
from ._finding import Finding, note, ok, problem
from ._machine import machine
from ._versions import versions

_NO = ("", "0", "false", "no", "off")
NEEDED, PLENTY = 1e9, 10e9


def doctor(*, as_json: bool = False) -> None:
    """Print what is found, a line each, with what to do.

    Args:
        as_json: A JSON list, for programs.

    Raises:
        DistillError: Something would not work.
    """
    findings = [ok("python", f"{platform.python_version()}, {platform.platform()}")]
    findings += [*versions(), *machine(), *disk(Path("runs")), *data(os.environ), *hub(os.environ), *zoo(os.environ)]
    print(json.dumps([asdict(finding) for finding in findings], indent=1) if as_json else as_text(findings))
    count = sum(finding.state == "problem" for finding in findings)
    if count:
        message = f"{count} problem{'s' * (count > 1)}"
        raise DistillError(message)


def as_text(findings: list[Finding]) -> str:
    """A line each: the state, the subject, what is so; below it what to do."""
    width = max(len(finding.subject) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:<7}  {finding.subject:<{width}}  {finding.message}")
        lines += [f"{'':<7}  {'':<{width}}  → {finding.hint}"] if finding.hint else []
    return "\n".join(lines)


def disk(runs: Path) -> Iterator[Finding]:
    """Whether runs can be written where they go, and how much room there is."""
    import shutil

    path = next(folder for folder in (runs.absolute(), *runs.absolute().parents) if folder.exists())
    if not path.is_dir() or not os.access(path, os.W_OK):
        yield problem("disk", f"nothing can be written to {path}", "run in another folder, or give --output DIR")
        return
    free = shutil.disk_usage(path).free
    told = f"{free / 1e9:.1f} GB free where runs go, {runs.absolute()}"
    hint = "checkpoints and caches of teachers take room: free some, or give --output DIR"
    if free < NEEDED:
        yield problem("disk", told, hint)
    else:
        yield ok("disk", told) if free >= PLENTY else note("disk", told, hint)


def data(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Where data sets are looked for."""
    given = environment.get("DISTILL_DATA", "")
    if not given:
        yield note("DISTILL_DATA", "not set: data sets are looked for in ~/.cache/distill/data")
        return
    folder = Path(given).expanduser()
    if not folder.is_dir():
        yield problem("DISTILL_DATA", f"{folder} is no folder", "set it to the folder that holds the data sets")
        return
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    held = f"{', '.join(names[:6])}{', …' if len(names) > 6 else ''}" if names else "no folders in it"
    yield ok("DISTILL_DATA", f"{folder}: {held}")


def hub(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What of Hugging Face's hub is on this machine, and whether it may be asked."""
    home = environment.get("HF_HOME") or str(
        Path(environment.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface"
    )
    cache = Path(environment.get("HF_HUB_CACHE") or f"{home}/hub").expanduser()
    models, sets = (len(list(cache.glob(f"{kind}--*"))) for kind in ("models", "datasets"))
    switches = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
    offline = [name for name in switches if environment.get(name, "").lower() not in _NO]
    told = f"{models} models and {sets} data sets in {cache}; {'offline by ' + ', '.join(offline) if offline else 'online'}"
    if offline and not models + sets:
        yield note("hub", told, "nothing can be loaded by its name on the hub: give folders instead")
    else:
        yield ok("hub", told)


def zoo(environment: Mapping[str, str]) -> Iterator[Finding]:
    """How many pretrained weights are on this machine."""
    try:
        package: Any = importlib.import_module("distill_zoo")
    except ModuleNotFoundError:
        return
    names = package.list_models()
    here = sum(package.cached(name) is not None for name in names)
    home = Path(environment.get("DISTILL_HOME") or "~/.cache/distill").expanduser()
    offline = environment.get("DISTILL_OFFLINE", "").lower() not in _NO
    yield ok(
        "zoo", f"{here} of {len(names)} weights are here ({home}){'; offline by DISTILL_OFFLINE' if offline else ''}"
    )
