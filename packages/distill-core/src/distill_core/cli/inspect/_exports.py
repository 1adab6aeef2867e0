"""Models, datasets and metrics that packages export, read from their sources without an import.

A package exports them from `models/__init__.py`, `data/__init__.py` and `metrics/__init__.py`. Of these exports

- models are functions that return an `nn.Module`, and classes derived from it,
- data are functions that return a `distill_core.data.Loader`,
- metrics are classes that have `update` and `compute`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from ...config import OURS, Definition, NotFoundError, Source, find_definition, load_source

MODULE, LOADER = "torch.nn.Module", "distill_core.data.Loader"
PACKAGES = OURS[1:]  # distill_core exports only their building blocks


@dataclass(frozen=True)
class Parameter:
    """A parameter of an export; `default` is as written in the source, None for a required parameter."""

    name: str
    default: str | None


@dataclass(frozen=True)
class Export:
    """A function or class that a configuration can name.

    Attributes:
        name: `resnet20`.
        path: Its import path, `distill_vision.models.resnet20`.
        parameters: Its parameters in order.
        summary: The first line of its docstring.
    """

    name: str
    path: str
    parameters: tuple[Parameter, ...]
    summary: str


def exports(kind: str, packages: Sequence[str] = PACKAGES) -> list[Export]:
    """Return every model, dataset or metric of the installed packages, by package and name.

    Args:
        kind: `models`, `data` or `metrics`.
        packages: The packages to search; those that are not installed are ignored.
    """
    candidates = []
    for init in filter(None, (load_source(f"{package}.{kind}") for package in packages)):
        names = [name for name, (module, _) in init.imports.items() if module.startswith(init.name)]
        candidates += [_export(f"{init.name}.{name}", kind) for name in sorted(names, key=str.lower)]
    return [export for export in candidates if export is not None]


def _export(path: str, kind: str) -> Export | None:
    definition = find_definition(path)
    if definition is None or definition.node is None or not _is_kind(definition, kind):
        return None
    docstring = ast.get_docstring(definition.node) or ""
    return Export(path.rpartition(".")[2], path, _parameters(definition), docstring.partition("\n")[0])


def _is_kind(definition: Definition, kind: str) -> bool:
    node, source = definition.node, definition.source
    if kind == "metrics":
        return all(_method(definition, name) for name in ("update", "compute"))
    if isinstance(node, ast.FunctionDef):
        return _means(node.returns, source, {"models": MODULE, "data": LOADER}[kind])
    return kind == "models" and _derives(definition, MODULE)


def _derives(definition: Definition, wanted: str) -> bool:
    node = definition.node
    return isinstance(node, ast.ClassDef) and any(_means(base, definition.source, wanted) for base in node.bases)


def _means(expression: ast.expr | None, source: Source | None, wanted: str) -> bool:
    """Return whether an annotation or a base is `wanted` or derived from it; a type variable stands for its bound."""
    if expression is None or source is None:
        return False
    if bound := _bound(source, ast.unparse(expression)):
        return _means(bound, source, wanted)
    path = _path(expression, source)
    definition = _find_local(path, source)
    return path == wanted or (definition is not None and _derives(definition, wanted))


def _bound(source: Source, name: str) -> ast.expr | None:
    """Return the bound of a type variable of this module."""
    if source.assigned.get(name) != "TypeVar":
        return None
    values = [
        statement.value
        for statement in ast.parse(source.text).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name
    ]
    keywords = values[-1].keywords if values and isinstance(values[-1], ast.Call) else []
    return next((keyword.value for keyword in keywords if keyword.arg == "bound"), None)


def _path(expression: ast.expr, source: Source) -> str:
    """Return the full import path of a name in a module, without quotes and subscripts."""
    first, _, rest = ast.unparse(expression).strip("'").partition("[")[0].partition(".")
    module, original = source.imports.get(first, (source.name, first))
    return ".".join(filter(None, (module, original, rest)))


def _find_local(path: str, source: Source) -> Definition | None:
    """Return a definition of the same package or of Distill; the long files of torch are not parsed."""
    root = path.partition(".")[0]
    if root not in (*OURS, source.name.partition(".")[0]):
        return None
    try:
        return find_definition(path)
    except NotFoundError:
        return None


def _method(definition: Definition, name: str) -> ast.FunctionDef | None:
    """Return a method of a class, defined or inherited."""
    node, source = definition.node, definition.source
    if not isinstance(node, ast.ClassDef) or source is None:
        return None
    defined = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name]
    if defined:
        return defined[-1]
    bases = (_find_local(_path(base, source), source) for base in node.bases)
    return next((method for base in bases if base and (method := _method(base, name))), None)


def _parameters(definition: Definition) -> tuple[Parameter, ...]:
    node = definition.node if isinstance(definition.node, ast.FunctionDef) else _method(definition, "__init__")
    if node is None:
        return ()
    args = node.args
    ordered = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(ordered) - len(args.defaults)) + [*args.defaults]
    parameters = [*zip(ordered, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    visible = parameters[1:] if isinstance(definition.node, ast.ClassDef) else parameters
    return tuple(Parameter(item.arg, None if value is None else ast.unparse(value)) for item, value in visible)
