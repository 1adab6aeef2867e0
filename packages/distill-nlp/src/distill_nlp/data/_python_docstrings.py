"""Text that is on every machine: the documentation within Python's own standard library."""

from __future__ import annotations

import ast
import inspect
import json
import os
import platform
import sysconfig
from pathlib import Path

import torch

LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__", "ensurepip"}


def python_docstrings(*, least: int = 200, cache: str | Path | None = None) -> list[str]:
    """The docstrings of the standard library, a document per module, in the order of their paths.

    A document is the module's docstring and those of its classes and functions, each after its name. The sources are
    parsed, not run; the texts depend on the version of Python alone. On the meta device (`distill check --deep`)
    nothing is read.

    Args:
        least: Documents of fewer characters are left out.
        cache: A folder in which the texts are kept for the next time: parsing takes some seconds.
    """
    if torch.get_default_device().type == "meta":
        return []
    if cache is None:
        return [text for text in _parsed() if len(text) >= least]
    path = Path(cache).expanduser() / f"python-{platform.python_version()}.json"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        unfinished.write_text(json.dumps(_parsed()), encoding="utf-8")
        os.replace(unfinished, path)
    return [text for text in json.loads(path.read_text(encoding="utf-8")) if len(text) >= least]


def _parsed() -> list[str]:
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(file for file in root.rglob("*.py") if not LEFT_OUT & set(file.relative_to(root).parts))
    return [_document(file) for file in files]


def _document(file: Path) -> str:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # templates, and files in an encoding of their own
        return ""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    parts = [inspect.cleandoc(ast.get_docstring(tree) or "")]
    for node in ast.walk(tree):
        if isinstance(node, kinds) and (text := ast.get_docstring(node)):
            kind = "class" if isinstance(node, ast.ClassDef) else "def"
            parts.append(f"{kind} {node.name}\n{inspect.cleandoc(text)}")
    return "\n\n".join(part for part in parts if part)
