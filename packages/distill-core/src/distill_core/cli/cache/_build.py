"""`distill cache build`: fill the caches of an experiment before its run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .._command import Command
from .._options import file_argument, json_option, overrides_argument, trust_option

if TYPE_CHECKING:
    from ...preview import StoredView


@click.command(cls=Command)
@file_argument
@overrides_argument
@trust_option
@json_option
def build(file: Path, overrides: tuple[str, ...], trust: tuple[str, ...], as_json: bool) -> None:
    """Build the teacher caches of FILE before its run."""
    from ...preview import build_caches
    from ._trainer import trainer_with_caches

    trainer = trainer_with_caches(file, overrides, trust)
    built: list[StoredView] = []

    def report(view: StoredView) -> None:
        built.append(view)
        if trainer.is_main and not as_json:
            print(view)

    build_caches(trainer, report)
    if trainer.is_main and as_json:
        print(json.dumps([asdict(view) | {"file": str(view.file)} for view in built], indent=1))
