"""The builder and arguments of a model, read from a run's resolved YAML file without building anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ._errors import ZooError

CALL = "!import_call"


class _Loader(yaml.SafeLoader):
    """A loader that reads 1e-4 as a number, as experiment files do."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


def student_of(path: Path, model: str = "student") -> tuple[str, dict[str, Any]]:
    """Return the import path of the function that builds a model of an experiment, and its arguments.

    Args:
        path: The run's resolved file.
        model: The model's name.

    Raises:
        ZooError: The model is missing, or is not built by one call with plain arguments.
    """
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node: Any = loader.get_single_node()
        for key in ("models", model):
            node = next((value for name, value in node.value if name.value == key), None)
    except (OSError, yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError) as error:
        message = f"{path} cannot be read: {error}"
        raise ZooError(message) from error
    if node is None:
        message = f"{path} has no model '{model}'"
        raise ZooError(message)
    builder = node.tag.removeprefix(CALL).removeprefix(":") if node.tag.startswith(CALL) else ""
    node.tag = "tag:yaml.org,2002:map"
    try:
        values = loader.construct_document(node)
    except yaml.YAMLError as error:
        message = f"{path}: the arguments of models.{model} are not plain values"
        raise ZooError(message, hint="write the card by hand") from error
    if not builder and isinstance(values, dict) and "key" in values:
        builder, values = values["key"], (values.get("init") or {}).get("kwargs") or {}
    if not builder or not isinstance(values, dict):
        message = f"{path}: models.{model} is not built by one !import_call with named arguments"
        raise ZooError(message, hint="write the card by hand")
    return builder, {key: value for key, value in values.items() if not str(key).startswith("_")}
