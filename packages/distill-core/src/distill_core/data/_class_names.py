"""The names of classes, as models and datasets keep them.

A model names its classes in `config.id2label` (transformers) or `class_names` (the zoo), a dataset in `labels` or `classes`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

Names = tuple[str, ...]


def class_names_of_model(model: Any) -> Names:
    """Return the names of a model's classes in order, or none; `LABEL_0` is not a name."""
    if names := getattr(model, "class_names", None):
        return tuple(map(str, names))
    labels = getattr(getattr(model, "config", None), "id2label", None)
    if not isinstance(labels, Mapping) or not all(str(index).isdigit() for index in labels):
        return ()
    names = tuple(str(labels[index]) for index in sorted(labels, key=int))
    return () if all(name == f"LABEL_{index}" for index, name in enumerate(names)) else names


def class_names_of_data(loader: Any) -> Names:
    """Return the names of the classes of a loader's dataset in order, or none.

    A data function that is not called yet has those of its argument `labels`.
    """
    if isinstance(loader, functools.partial):
        return _names(loader.keywords.get("labels"))
    dataset = getattr(loader, "dataset", None)
    while dataset is not None:
        for names in (getattr(dataset, "labels", None), getattr(dataset, "classes", None)):
            if found := _names(names):
                return found
        dataset = getattr(dataset, "dataset", None)  # of a Subset
    return ()


def plain_class_name(name: str) -> str:
    """Return the name of a class for comparison: without case, hyphens and underscores."""
    return name.casefold().replace("-", " ").replace("_", " ").strip()


def _names(names: Any) -> Names:
    is_names = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    return tuple(names) if is_names else ()
