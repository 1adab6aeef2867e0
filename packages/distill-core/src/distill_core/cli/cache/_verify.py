"""`distill cache verify`: check the caches of an experiment."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .._command import Command
from .._options import file_argument, json_option, overrides_argument, trust_option
from .._record_output import lines_aside, print_json


@click.command(cls=Command)
@file_argument
@overrides_argument
@click.option("--samples", metavar="N", default=256, help="Number of samples of each view to compare.")
@trust_option
@json_option
def verify(file: Path, overrides: tuple[str, ...], samples: int, trust: tuple[str, ...], as_json: bool) -> None:
    """Verify the teacher caches of FILE.

    Checks all checksums, and compares samples with the outputs of the live model.
    """
    from ...preview import verify_caches
    from .._columns import aligned
    from ._trainer import trainer_with_caches

    rows = [("model", "tap", "samples", "greatest difference", "KL", "agreement")]
    with lines_aside(as_json=as_json):
        entries = verify_caches(trainer_with_caches(file, overrides, trust), samples)
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        kl = "" if entry.divergence is None else f"{entry.divergence:.3g}"
        agreement = "" if entry.agreement is None else f"{entry.agreement:.2%}"
        rows.append((entry.model, entry.tap, str(entry.samples), f"{entry.greatest:.3g}", kl, agreement))
    print("\n".join(aligned(rows)))
