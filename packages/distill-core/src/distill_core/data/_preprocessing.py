"""The normalisation and sizes of a dataset's transforms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MAX_DEPTH = 6
_SIZES = {"Resize": "resize", "CenterCrop": "size"}


def preprocessing_of(loader: Any) -> dict[str, Any]:
    """Return the normalisation and sizes of the transforms of a loader's dataset, as far as they are known.

    Args:
        loader: A `Loader`.

    Returns:
        `mean` and `std` of each channel for pixels from 0 to 1, `scale` of a white pixel, `resize` and `size`.
    """
    settings: dict[str, Any] = {}
    for each in _parts(loader.dataset, MAX_DEPTH):
        kind = type(each).__name__
        if kind in _SIZES:
            settings.setdefault(_SIZES[kind], _numbers(each.size))
        elif hasattr(each, "mean") and hasattr(each, "std") and not callable(each.mean):
            settings.setdefault("mean", _numbers(each.mean))
            settings.setdefault("std", _numbers(each.std))
            settings.setdefault("scale", float(getattr(each, "scale", 255.0)))
    return settings


def _parts(value: Any, depth: int) -> Iterator[Any]:
    """Yield an object and the objects in its attributes, without its data."""
    if depth == 0 or isinstance(value, str | bytes | int | float | type) or value is None:
        return
    if isinstance(value, Mapping):
        children = list(value.values())
    elif isinstance(value, list | tuple):
        children = list(value) if len(value) < 100 else []
    else:
        yield value
        children = [each for name, each in getattr(value, "__dict__", {}).items() if not name.startswith("__")]
    for child in children:
        yield from _parts(child, depth - 1)


def _numbers(value: Any) -> Any:
    return (
        [float(each) if isinstance(each, float) else int(each) for each in value]
        if hasattr(value, "__iter__")
        else value
    )
