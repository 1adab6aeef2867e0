"""Checks of a model folder for settings that load code from the folder or the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import TrustError
from ._problems import TrustProblem, UntrustedError
from .policy import argument_refusal

_SETTINGS = ("*config*.json", "*/*config*.json")
"""The files that transformers, peft and timm read as settings; those of weights and vocabularies have other names."""
_GENERATE = "custom_generate/generate.py"
_BASE = "base_model_name_or_path"


def check_model_folder(folder: str | Path) -> None:
    """Refuse a model folder with settings that load code, in any of its files and at any depth.

    These are `auto_map`, custom pipelines and generation, attention kernels from the hub, and the other arguments that
    the policy refuses. A name that is not a local folder passes.

    Raises:
        TrustError: A file has such a setting; the message names the file and the key.
    """
    if found := code_of(folder):
        raise TrustError([found.problem])


def code_of(folder: str | Path, seen: frozenset[Path] = frozenset()) -> UntrustedError | None:
    """Return the error for the first setting that loads code, in a model folder or in that of its base model."""
    root = Path(folder).expanduser()
    if root in seen or not root.exists():
        return None
    if (root / _GENERATE).exists():
        message = f"{root / _GENERATE} is refused: it is code that replaces generate()"
        hint = "delete the folder custom_generate to use the generate() of transformers"
        return UntrustedError(TrustProblem(message, hint=hint, id="folder-replaces-generate"))
    for file in _settings(root):
        for key, name, value in _entries(_read(file)):
            if reason := argument_refusal(name, value):
                message = f"{file}: '{key}: {_shown(value)}' is refused: {reason}"
                hint = f"delete '{key}' from the file, or convert the model where you trust its code and save it again"
                return UntrustedError(TrustProblem(message, hint=hint, id="folder-refused-setting"))
            if name == _BASE and isinstance(value, str) and (found := code_of(value, seen | {root})):
                return found
    return None


def _settings(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix == ".json" else []
    return sorted(path for pattern in _SETTINGS for path in root.glob(pattern) if path.is_file())


def _read(file: Path) -> Any:
    """Return the content of a file; None if it is damaged, which the library that needs it reports."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _entries(value: Any) -> Iterator[tuple[str, str, Any]]:
    """Yield each key of each mapping: its path, its name and its value."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, inner = waiting.pop()
        if isinstance(inner, Mapping):
            for name, item in inner.items():
                key = f"{path}.{name}" if path else name
                yield key, name, item
                waiting.append((key, item))
        elif isinstance(inner, list):
            waiting += [(f"{path}.{number}", item) for number, item in enumerate(inner)]


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else "…"
