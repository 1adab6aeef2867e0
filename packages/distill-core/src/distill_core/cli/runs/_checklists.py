"""The checklists of finished runs, printed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path


def print_checklists(runs: Sequence[Path], *, as_json: bool) -> None:
    """Print the ML Code Completeness Checklist of each run as Markdown.

    Args:
        runs: Folders of finished runs.
        as_json: Print JSON instead.

    Raises:
        DataError: A record of a run is damaged.
    """
    from ...report import checklist

    found = {str(run): checklist(run) for run in runs}
    if as_json:
        print(json.dumps({run: [asdict(item) for item in items] for run, items in found.items()}, indent=1))
        return
    for run, items in found.items():
        print(f"{run}: {sum(item.done for item in items)} of {len(items)} items of the ML Code Completeness Checklist")
        for item in items:
            print(item)
