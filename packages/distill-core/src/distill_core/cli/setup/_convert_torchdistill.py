"""`distill convert-torchdistill`: files of torchdistill to files of ours, with a report of each place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click

from .._command import Command
from .._exit import FAILED, refuse
from .._options import PATH, json_option


@click.command("convert-torchdistill", cls=Command)
@click.argument("old", metavar="OLD", type=PATH, help="A file of torchdistill, or a folder of such files.")
@click.argument("new", metavar="[NEW]", type=PATH, required=False, help="The new file or folder; printed if omitted.")
@click.option("--as-published", is_flag=True, help="Keep torchdistill's numbers where the paper says otherwise.")
@json_option
def convert_torchdistill_command(old: Path, new: Path | None, as_published: bool, as_json: bool) -> None:
    """Convert a file of torchdistill.

    Nothing that it names is imported. The exit code is 1 if anything is lost.
    """
    if convert_files(old, new, as_published=as_published, as_json=as_json):
        raise SystemExit(FAILED)


def convert_files(old: Path, new: Path | None = None, *, as_published: bool = False, as_json: bool = False) -> int:
    """Convert a file or folder, print the report and return the number of lost places.

    Raises:
        ConfigError: A file does not exist, is not YAML, or would be overwritten.
    """
    from ...convert import convert_torchdistill

    pairs = list(_pairs(old, new))
    if existing := [target for _, target in pairs if target is not None and target.exists()]:
        refuse(f"{existing[0]} exists", "choose another name: no file is overwritten")
    records, lost = [], 0
    for source, target in pairs:
        converted = convert_torchdistill(source, as_published=as_published)
        lost += len(converted.report.lost)
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(converted.text, encoding="utf-8")
        if as_json:
            text = {} if target is not None else {"text": converted.text}
            record = {"old": str(source), "new": str(target) if target else None, **text}
            records.append(record | {"findings": converted.report.records()})
            continue
        if target is None:
            print(converted.text)
        print(f"{source}{f' → {target}' if target else ''}: {converted.report.summary()}")
        for finding in converted.report:
            print(finding)
    if as_json:
        print(json.dumps(records if old.is_dir() else records[0], indent=2))
    return lost


def _pairs(old: Path, new: Path | None) -> Iterator[tuple[Path, Path | None]]:
    """Yield each old file with its new one."""
    if not old.is_dir():
        yield old, new / old.name if new is not None and new.is_dir() else new
        return
    files = sorted(path for path in old.rglob("*") if path.suffix in (".yaml", ".yml"))
    if not files:
        refuse(f"{old} has no YAML files")
    for path in files:
        yield path, None if new is None else new / path.relative_to(old)
