"""Text that every machine has: the docstrings of Python's standard library."""

from __future__ import annotations

import ast
import inspect
import json
import platform
import sysconfig
from pathlib import Path

import torch

from .._atomic import atomic_path

EXCLUDED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__", "ensurepip"}


def python_docstrings(*, least: int = 200, cache: str | Path | None = None) -> list[str]:
    """Return the docstrings of the standard library, one document per module, sorted by path.

    A document consists of the docstrings of the module and of its classes and functions, each after its name. The sources
    are parsed, not run. The texts depend only on the version of Python. On the meta device (`distill check --deep`)
    nothing is read.

    Args:
        least: Minimum number of characters. Shorter documents are omitted.
        cache: A folder that caches the texts, because parsing takes some seconds.
    """
    if torch.get_default_device().type == "meta":
        return []
    if cache is None:
        return [text for text in _parsed() if len(text) >= least]
    path = Path(cache).expanduser() / f"python-{platform.python_version()}.json"
    if not path.is_file():
        with atomic_path(path) as unfinished:
            unfinished.write_text(json.dumps(_parsed()), encoding="utf-8")
    return [text for text in json.loads(path.read_text(encoding="utf-8")) if len(text) >= least]


def _parsed() -> list[str]:
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(file for file in root.rglob("*.py") if not EXCLUDED & set(file.relative_to(root).parts))
    return [_document(file) for file in files]


def _document(file: Path) -> str:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # templates, and files in another encoding
        return ""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [inspect.cleandoc(ast.get_docstring(tree) or "")]
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (docstring := ast.get_docstring(node)):
            kind = "class" if isinstance(node, ast.ClassDef) else "def"
            texts.append(f"{kind} {node.name}\n{inspect.cleandoc(docstring)}")
    return "\n\n".join(text for text in texts if text)
