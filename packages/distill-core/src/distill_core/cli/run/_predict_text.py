"""Predictions as text."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ...number_text import describe_number
from .._columns import aligned

MAX_WIDTH = 60
"""Number of characters of an input or a completion that a table shows."""

Record = Mapping[str, Any]


def predictions_text(records: Sequence[Record]) -> str:
    """Return a table of predictions, or a paragraph for each generated text.

    >>> print(predictions_text([{"input": "a.png", "class": "cat", "probability": 0.9, "top": []}]))
    input  class  probability
    a.png  cat    90.0%
    """
    if any("completion" in record for record in records):
        return "\n\n".join(f"{_text(record['input'])}\n  → {record['completion'].strip()}" for record in records)
    head, cells = _columns(records[0])
    return "\n".join(aligned([("input", *head), *((_input(record), *cells(record)) for record in records)]))


def _columns(record: Record) -> tuple[tuple[str, ...], Any]:
    """Return the heads of the columns for records like this, and the function that returns their cells."""
    if "boxes" in record:
        return ("boxes",), lambda record: (_boxes(record["boxes"]),)
    if "mask" in record:
        return ("mask", "classes"), lambda record: (str(record["mask"]), _shares(record["classes"]))
    if "value" in record:
        return ("value",), lambda record: (describe_number(record["value"]),)
    if "labels" in record:
        return ("labels", "most probable"), lambda record: (", ".join(map(str, record["labels"])) or "–", _top(record))
    others = len(record["top"]) > 1
    head = ("class", "probability", *(("next",) if others else ()))
    return head, lambda record: (
        str(record["class"]),
        f"{record['probability']:.1%}",
        *((_top(record, 1),) if others else ()),
    )


def _top(record: Record, start: int = 0) -> str:
    return ", ".join(f"{each['class']} {each['probability']:.1%}" for each in record["top"][start:])


def _boxes(boxes: Sequence[Record]) -> str:
    counts = Counter(str(box["class"]) for box in boxes)
    listed = [
        f"{box['class']} {box['score']:.0%} at {', '.join(f'{side:.0f}' for side in box['box'])}" for box in boxes
    ]
    if len(boxes) > 3:
        return ", ".join(f"{count} {name}" for name, count in counts.items())
    return "; ".join(listed) or "–"


def _shares(classes: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in list(classes.items())[:3])


def _input(record: Record) -> str:
    text = " ".join(_text(record["input"]).split())
    if len(text) <= MAX_WIDTH:
        return text
    is_path = "/" in text and " " not in text  # whose end tells it from others
    return "…" + text[1 - MAX_WIDTH :] if is_path else text[: MAX_WIDTH - 1] + "…"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
