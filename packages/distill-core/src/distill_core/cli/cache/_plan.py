"""`distill cache plan`: the cost of caches with each codec."""

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
@trust_option
@json_option
def plan(file: Path, overrides: tuple[str, ...], trust: tuple[str, ...], as_json: bool) -> None:
    """Estimate the size and time of teacher caches for FILE.

    For each codec, print also after how many epochs the cache pays off.
    """
    from ...preview import plan_caches
    from .._columns import aligned
    from ._trainer import trainer_for_plan

    rows = [("model", "codec", "size", "live s/epoch", "write s/epoch", "read s/epoch", "pays after epoch")]
    with lines_aside(as_json=as_json):
        trainer = trainer_for_plan(file, overrides, trust)
        costs = plan_caches(trainer)
    if as_json:
        record = {
            "views": trainer.caches.views,
            "device": str(trainer.device),
            "costs": [asdict(cost) for cost in costs],
        }
        print_json(record)
        return
    for cost in costs:
        live, write, read = (f"{value:.2f}" for value in (cost.live, cost.write, cost.read))
        pays_after = str(cost.pays_after or "never")
        rows.append((cost.model, cost.codec, _size(cost.gigabytes), live, write, read, pays_after))
    print("\n".join(aligned(rows)))
    print(f"views per sample: {trainer.caches.views}; measured on three batches on {trainer.device}")


def _size(gigabytes: float) -> str:
    """Return a size in GB or MB.

    >>> _size(1.5), _size(0.0052)
    ('1.500 GB', '5.200 MB')
    """
    return f"{gigabytes:.3f} GB" if gigabytes >= 0.1 else f"{1e3 * gigabytes:.3f} MB"
