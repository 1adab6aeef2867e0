"""Names for the parts of a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

from ..errors import DataError
from ..tree import children


def named(batch: Any, fields: Sequence[str], dataset: Any) -> dict[str, Any]:
    """Return the parts of a collated batch by name.

    Args:
        batch: A mapping, a dataclass or a named tuple, which has names, or a tuple, a list or a single part.
        fields: Names for the parts of a tuple; a named tuple keeps its own names if it has all of these.
        dataset: The dataset, for messages.

    Raises:
        DataError: The number of parts is not the number of fields, or a part is called `index`.
    """
    names = getattr(batch, "_fields", ())
    if isinstance(batch, Mapping) or is_dataclass(batch) or set(fields) <= set(names):
        return without_index(children(batch) or {}, dataset)
    parts = batch if isinstance(batch, list | tuple) else [batch]
    if len(parts) != len(fields):
        message = f"a batch of {type(dataset).__name__} has {len(parts)} parts, but `fields` names {list(fields)}"
        raise DataError(message)
    return without_index(dict(zip(fields, parts, strict=True)), dataset)


def without_index(batch: dict[str, Any], dataset: Any) -> dict[str, Any]:
    """Return a batch to which a loader can add its field `index`.

    Raises:
        DataError: The batch has a field of that name.
    """
    if "index" in batch:
        message = (
            f"{type(dataset).__name__} has a field 'index', the name under which a Loader gives the number of each sample in "
            "the dataset"
        )
        raise DataError(message, hint="give the field another name")
    return batch
