"""What packages offer to a configuration beside losses, read from their sources; nothing of theirs is imported.

A package exports its models, data and metrics from `models/__init__.py`, `data/__init__.py` and `metrics/__init__.py`. Of what it
exports there

- models are functions that return an `nn.Module`, and classes derived from it,
- data are functions that return a `distill_core.data.Loader`,
- metrics are classes that have `update` and `compute`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from ..config._modules import Source, load
from ..config._policy import OURS
from ..config._problems import NotFoundError
from ..config._sources import Definition, find

MODULE, LOADER = "torch.nn.Module", "distill_core.data.Loader"
PACKAGES = OURS[1:]  # core has what these are made of, but none that a configuration would name


@dataclass(frozen=True)
class Parameter:
    """A parameter of an export; `default` is as it is written in the source, None where a value must be given."""

    name: str
    default: str | None


@dataclass(frozen=True)
class Export:
    """A function or class that a configuration can name.

    Attributes:
        name: `resnet20`.
        path: Its import path, `distill_vision.models.resnet20`.
        parameters: What it takes, in order.
        summary: The first line of its docstring.
    """

    name: str
    path: str
    parameters: tuple[Parameter, ...]
    summary: str


def exports(what: str, packages: Sequence[str] = PACKAGES) -> list[Export]:
    """Every model, data set or metric of those packages that are installed, by package and name.

    Args:
        what: `models`, `data` or `metrics`.
        packages: Where to look.
    """
    found = []
    for door in filter(None, (load(f"{package}.{what}") for package in packages)):
        names = [name for name, (module, _) in door.imports.items() if module.startswith(door.name)]
        found += [_export(f"{door.name}.{name}", what) for name in sorted(names, key=str.lower)]
    return [export for export in found if export is not None]


def _export(path: str, what: str) -> Export | None:
    definition = find(path)
    if definition is None or definition.node is None or not _belongs(definition, what):
        return None
    docstring = ast.get_docstring(definition.node) or ""
    return Export(path.rpartition(".")[2], path, _parameters(definition), docstring.partition("\n")[0])


def _belongs(definition: Definition, what: str) -> bool:
    node, source = definition.node, definition.source
    if what == "metrics":
        return all(_method(definition, name) for name in ("update", "compute"))
    if isinstance(node, ast.FunctionDef):
        return _means(node.returns, source, {"models": MODULE, "data": LOADER}[what])
    return what == "models" and _derives(definition, MODULE)


def _derives(definition: Definition, wanted: str) -> bool:
    node = definition.node
    return isinstance(node, ast.ClassDef) and any(_means(base, definition.source, wanted) for base in node.bases)


def _means(expression: ast.expr | None, source: Source | None, wanted: str) -> bool:
    """Whether an annotation or a base is `wanted` or a class derived from it; a type variable is its bound."""
    if expression is None or source is None:
        return False
    if bound := _bound(source, ast.unparse(expression)):
        return _means(bound, source, wanted)
    path = _path(expression, source)
    definition = _own(path, source)
    return path == wanted or (definition is not None and _derives(definition, wanted))


def _bound(source: Source, name: str) -> ast.expr | None:
    """The bound of a type variable of this module."""
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
    """The whole import path of what a module calls so; quotes and what stands in brackets are left out."""
    first, _, rest = ast.unparse(expression).strip("'").partition("[")[0].partition(".")
    module, original = source.imports.get(first, (source.name, first))
    return ".".join(filter(None, (module, original, rest)))


def _own(path: str, source: Source) -> Definition | None:
    """What is defined in the same package or in another one of ours; the long files of torch stay closed."""
    root = path.partition(".")[0]
    if root not in (*OURS, source.name.partition(".")[0]):
        return None
    try:
        return find(path)
    except NotFoundError:
        return None


def _method(definition: Definition, name: str) -> ast.FunctionDef | None:
    """A method of a class, its own or inherited."""
    node, source = definition.node, definition.source
    if not isinstance(node, ast.ClassDef) or source is None:
        return None
    own = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == name]
    if own:
        return own[-1]
    bases = (_own(_path(base, source), source) for base in node.bases)
    return next((method for base in bases if base and (method := _method(base, name))), None)


def _parameters(definition: Definition) -> tuple[Parameter, ...]:
    node = definition.node if isinstance(definition.node, ast.FunctionDef) else _method(definition, "__init__")
    if node is None:
        return ()
    args = node.args
    ordered = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(ordered) - len(args.defaults)) + [*args.defaults]
    taken = [*zip(ordered, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    own = taken[1:] if isinstance(definition.node, ast.ClassDef) else taken
    return tuple(Parameter(item.arg, None if value is None else ast.unparse(value)) for item, value in own)
