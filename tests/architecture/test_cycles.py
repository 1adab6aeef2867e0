"""No import cycle and no private import across subpackages, type hints included."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest


def edges(modules) -> dict[str, set[str]]:
    """Return for each module the modules of the same package that it imports, `TYPE_CHECKING` blocks included."""
    names = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        targets = set()
        for _, name in module.imports():
            target = name if name in names else name.rpartition(".")[0]
            # A submodule imports its package's `__init__.py` first, but uses nothing of it.
            if target in names and target != module.name:
                targets.add(target)
        graph[module.name] = targets
    return graph


def subpackage(name: str) -> str:
    """Return the subpackage of a module: `distill_core.train.step` for a folder of train, `distill_core.config`."""
    parts = name.split(".")
    if parts[:2] == ["distill_core", "train"] and len(parts) > 2 and not parts[2].startswith("_"):
        return ".".join(parts[:3])
    return ".".join(parts[:2])


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return a cycle of a graph as a path; empty if there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if found := visit(target, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := visit(node, []))), [])


def private_imports(modules) -> list[str]:
    """Return imports of a private name from another subpackage; a folder of train may use the loose modules of train."""
    return [
        f"{module.name}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if name.split(".")[0] == "distill_core" and not _may_import(module.name, name)
    ]


def _may_import(importer: str, name: str) -> bool:
    parts = name.split(".")
    private = [index for index, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
    if not private:
        return True
    owner = ".".join(parts[: private[0]])
    return (importer + ".").startswith(owner + ".") or subpackage(importer) == subpackage(name)


@pytest.fixture(scope="module")
def core(modules):
    return [module for module in modules if module.name.split(".")[0] == "distill_core"]


def test_modules_of_train_have_no_import_cycle(core):
    train = [module for module in core if module.name.startswith("distill_core.train")]
    assert cycle(edges(train)) == []
    assert len(train) > 50


def test_subpackages_have_no_import_cycle(core):
    graph: dict[str, set[str]] = {}
    for name, targets in edges(core).items():
        # A loose module of train is a node of its own: the folders of train import it, and it imports folders.
        start = name if name.startswith("distill_core.train._") else subpackage(name)
        ends = {each if each.startswith("distill_core.train._") else subpackage(each) for each in targets}
        graph.setdefault(start, set()).update(ends - {start})
    assert cycle(graph) == []


def test_no_private_import_crosses_a_subpackage(core):
    assert private_imports(core) == []


def test_cycles_and_private_imports_are_found(core):
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    example = type(core[0])(
        "distill_core.train.step._x",
        Path("_x.py"),
        ast.parse("from .._state import Run\nfrom ..parallel._fsdp import local\nfrom ._y import z\n"),
    )
    assert private_imports([example]) == [
        "distill_core.train.step._x:2 imports distill_core.train.parallel._fsdp.local"
    ]
