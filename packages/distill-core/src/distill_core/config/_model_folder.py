"""The files of a model folder: what in them would load code that the folder or the network brings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import Problem, TrustError
from ._policy import argument_refusal

_SETTINGS = ("*config*.json", "*/*config*.json")
"""The files that transformers, peft and timm read as settings; weights, vocabularies and data are called otherwise."""
_GENERATE = "custom_generate/generate.py"
_BASE = "base_model_name_or_path"


class FolderCode(NamedTuple):
    """What a model folder must not bring, and what to do about it."""

    message: str
    hint: str


def check_model_folder(folder: str | Path) -> None:
    """Refuse a model folder with settings that load code, in any of its files and at any depth.

    These are `auto_map`, custom pipelines and generation, kernels of the hub as attention implementation, and the other
    arguments that a config may not give either. A name that is not a folder here passes.

    Raises:
        TrustError: A file has such a setting; the message names file, key and remedy.
    """
    if found := code_of(folder):
        raise TrustError([Problem(found.message, hint=found.hint)])


def code_of(folder: str | Path, seen: frozenset[Path] = frozenset()) -> FolderCode | None:
    """The first setting of a model folder, or of the folder of its base model, that loads code."""
    root = Path(folder).expanduser()
    if root in seen or not root.exists():
        return None
    if (root / _GENERATE).exists():
        message = f"{root / _GENERATE} is refused: it is code that replaces generate()"
        return FolderCode(
            message, "delete the folder custom_generate; without it transformers generates by its own code"
        )
    for file in _settings(root):
        for key, name, value in _entries(_read(file)):
            if reason := argument_refusal(name, value):
                message = f"{file}: '{key}: {_shown(value)}' is refused: {reason}"
                hint = f"delete '{key}' from the file, or convert the model where you trust its code and save it again"
                return FolderCode(message, hint)
            if name == _BASE and isinstance(value, str) and (found := code_of(value, seen | {root})):
                return found
    return None


def _settings(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix == ".json" else []
    return sorted(path for pattern in _SETTINGS for path in root.glob(pattern) if path.is_file())


def _read(file: Path) -> Any:
    """The content of a file; a damaged one is left to the library that needs it."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _entries(value: Any) -> Iterator[tuple[str, str, Any]]:
    """Each key of each mapping: its path, its name and its value."""
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
