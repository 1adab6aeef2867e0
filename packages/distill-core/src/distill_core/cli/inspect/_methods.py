"""The distillation methods of `distill_core.losses` and other packages, read from their files without importing torch."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...registry import Reference, reference

LOSSES = Path(__file__).resolve().parents[2] / "losses"


@dataclass(frozen=True)
class Method:
    """A loss class and the paper of its method.

    Attributes:
        name: The class, `KDLoss`.
        path: Its import path, `distill_core.losses.KDLoss`.
        reduction_scope: How the loss averages over processes: `sample`, `gathered`, `token`, `local` or `unknown`,
            described in `distill_core.losses`.
        reference: The paper, from the docstring of its file.
        is_verified: Whether its docstring has no paragraph `unverified: …`: its golden values are of the authors' files.
    """

    name: str
    path: str
    reduction_scope: str
    reference: Reference
    is_verified: bool = True


def methods(folder: Path = LOSSES, package: str = "distill_core.losses") -> list[Method]:
    """Return every registered class in the files of a folder, sorted by name.

    Args:
        folder: The folder of the package.
        package: Its import path.

    Raises:
        ValueError: The docstring of a file does not begin with a reference.
    """
    methods = [method for file in sorted(folder.glob("_[a-z]*.py")) for method in _methods_of(file, package)]
    return sorted(methods, key=lambda method: method.name.lower())


def _methods_of(file: Path, package: str) -> Iterator[Method]:
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    registered = [node for node in tree.body if isinstance(node, ast.ClassDef) and _is_registered(node)]
    if registered:
        docstring = ast.get_docstring(tree) or ""
        source, is_verified = reference(docstring), "\nunverified: " not in docstring
        for node in registered:
            yield Method(node.name, f"{package}.{node.name}", _reduction_scope(node), source, is_verified)


def _is_registered(node: ast.ClassDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "register" for decorator in node.decorator_list)


def _reduction_scope(node: ast.ClassDef) -> str:
    for line in node.body:
        if (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and line.target.id == "reduction_scope"
        ):
            return str(ast.literal_eval(line.value)) if line.value else ""
    return ""
