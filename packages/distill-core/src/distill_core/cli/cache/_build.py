"""`distill cache build`: fill the caches of an experiment before its run."""

from __future__ import annotations

from pathlib import Path

import click

from .._command import Command
from .._options import file_argument, overrides_argument, trust_option


@click.command(cls=Command)
@file_argument
@overrides_argument
@trust_option
def build(file: Path, overrides: tuple[str, ...], trust: tuple[str, ...]) -> None:
    """Build the teacher caches of FILE before its run."""
    from ...preview import build_caches
    from ._trainer import trainer_with_caches

    trainer = trainer_with_caches(file, overrides, trust)
    build_caches(trainer, lambda line: print(line) if trainer.is_main else None)
