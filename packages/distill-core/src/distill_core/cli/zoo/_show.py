"""Cards and paths of weights as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def to_json(value: Any) -> str:
    """Return indented JSON."""
    return json.dumps(value, indent=1, ensure_ascii=False)


def show_paths(paths: Mapping[str, Path], *, as_json: bool) -> None:
    """Print a path a line, or a JSON object name → path."""
    if as_json:
        print(to_json({name: str(path) for name, path in paths.items()}))
    elif paths:
        print("\n".join(map(str, paths.values())))


def metric_of(card: Any) -> str:
    """Return the test metric of a card, or its first metric, as text."""
    if not card.metrics:
        return "–"
    metric = next((each for each in card.metrics if each.split == "test"), card.metrics[0])
    return f"{metric.name} {metric.value:g} ({metric.split})"
