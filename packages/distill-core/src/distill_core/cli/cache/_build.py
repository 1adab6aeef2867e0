"""`distill cache build`: fill the caches of an experiment before its run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .._command import Command
from .._options import file_argument, json_option, overrides_argument, trust_option
from .._record_output import lines_aside, print_json

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

    built: list[StoredView] = []

    def report(view: StoredView) -> None:
        built.append(view)
        if trainer.is_main and not as_json:
            print(view)

    with lines_aside(as_json=as_json):
        trainer = trainer_with_caches(file, overrides, trust)
        build_caches(trainer, report)
    if trainer.is_main and as_json:
        print_json([asdict(view) | {"file": str(view.file)} for view in built])
