"""The metadata at the head of a model card, as the Hugging Face Hub reads it: a block of YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def front_matter(values: Mapping[str, Any]) -> list[str]:
    """Return the lines of a block of YAML between two lines of dashes; empty values are omitted.

    >>> front_matter({"license": "mit", "tags": ["a"], "datasets": []})
    ['---', 'license: "mit"', 'tags:', '- "a"', '---']
    """
    return ["---", *_lines({name: value for name, value in values.items() if value}), "---"]


def _lines(value: Mapping[str, Any] | Sequence[Any]) -> Iterator[str]:
    """Yield lines of block style. Scalars are JSON, which is YAML."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            if isinstance(each, Mapping | list | tuple):
                yield f"{name}:"
                yield from (f"{'  ' * isinstance(each, Mapping)}{line}" for line in _lines(each))
            else:
                yield f"{name}: {_scalar(each)}"
        return
    for each in value:
        first, *others = list(_lines(each)) if isinstance(each, Mapping | list | tuple) else [_scalar(each)]
        yield f"- {first}"
        yield from (f"  {line}" for line in others)


def _scalar(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
