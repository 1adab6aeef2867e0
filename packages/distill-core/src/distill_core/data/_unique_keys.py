"""JSON objects without repeated keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a JSON object; use it as `object_pairs_hook` of `json.loads`, which would keep the last of two.

    >>> unique_keys([("a", 1), ("b", 2)])
    {'a': 1, 'b': 2}

    Raises:
        ValueError: A key occurs more than once.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        message = f"an object has the key '{twice}' more than once"
        raise ValueError(message)
    return found
