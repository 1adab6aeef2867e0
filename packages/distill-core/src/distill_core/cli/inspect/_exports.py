"""What packages export for a configuration, read from their sources without an import.

A package exports them from `models/__init__.py`, `data/__init__.py` and `metrics/__init__.py`. Of these exports

- models are functions that return an `nn.Module`, and classes derived from it,
- data are functions that return a `distill_core.data.Loader`,
- metrics are classes that have `update` and `compute`.

Callbacks, optimizers and schedules are in `MODULES`; codecs of caches are named in a file without an import path.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from ...config import OURS, Definition, NotFoundError, Source, find_definition, load_source

MODULE, LOADER = "torch.nn.Module", "distill_core.data.Loader"
CONTAINERS = ("torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict")
"""Modules too, whose definitions are not read."""
PACKAGES = OURS[1:]  # distill_core exports only their building blocks
CALLBACK = "distill_core.train.callbacks._callback.Callback"
MODULES = {
    "callbacks": ("distill_core.train", "distill_nlp.models", "distill_vision.draw"),
    "optimizers": ("distill_core.optim", "torch.optim"),
    "schedules": ("distill_core.schedules", "torch.optim.lr_scheduler"),
}
"""Kind → modules whose classes are of it; of a module with other objects too, those that derive from `CALLBACK`."""
CODECS = {"float32": "Dense", "float16": "Dense", "bfloat16": "Dense", "int8": "Int8", "topk-N": "TopK", "sampled-N": "Sampled"}  # fmt: skip
_NOT_LISTED = ("Optimizer", "SplitOptimizer", "LRScheduler", "Callback")


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
        kind: `models`, `data`, `metrics`, `codecs` or one of `MODULES`.
        packages: The packages to search for models, datasets and metrics; those that are not installed are ignored.
    """
    if kind == "codecs":
        return _codecs()
    if kind in MODULES:
        return [export for module in MODULES[kind] for export in _classes(module, kind)]
    candidates = []
    for init in filter(None, (load_source(f"{package}.{kind}") for package in packages)):
        names = [name for name, (module, _) in init.imports.items() if module.startswith(init.name)]
        candidates += [_export(f"{init.name}.{name}", kind) for name in sorted(names, key=str.lower)]
    return [export for export in candidates if export is not None]


def _export(path: str, kind: str) -> Export | None:
    definition = find_definition(path)
    if definition is None or definition.node is None or not _is_kind(definition, kind):
        return None
    return Export(path.rpartition(".")[2], path, _parameters(definition), _first_line(definition))


def _classes(module: str, kind: str) -> list[Export]:
    """Return the classes of a module, defined there or imported into it, that are of a kind."""
    source = load_source(module)
    names = [name for name in source.names() if name[:1].isupper()] if source else []
    found = []
    for name in sorted(set(names) - set(_NOT_LISTED), key=str.lower):
        try:
            definition = find_definition(f"{module}.{name}")
        except NotFoundError:
            continue
        if definition is None or not isinstance(definition.node, ast.ClassDef):
            continue
        if not definition.module.startswith(module) and kind != "callbacks":
            continue  # `Any`, or another class that the module only imports
        if kind != "callbacks" or _derives(definition, CALLBACK):
            summary = _first_line(definition)
            found.append(Export(name, f"{module}.{name}", _parameters(definition), summary))
    return found


def _codecs() -> list[Export]:
    """Return the codecs of caches by the names that `cache.<model>.codec` takes."""
    found = []
    for name, kind in CODECS.items():
        definition = find_definition(f"distill_core.cache.{kind}")
        found.append(Export(name, f"cache.<model>.codec.{name}", (), _first_line(definition) if definition else ""))
    return found


def _first_line(definition: Definition) -> str:
    """Return the first line of a docstring; empty without one."""
    docstring = ast.get_docstring(definition.node) if definition.node else None
    return next((line.strip() for line in (docstring or "").splitlines() if line.strip()), "")


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
    wanted_paths = (MODULE, *CONTAINERS) if wanted == MODULE else (wanted,)
    is_wanted = path in wanted_paths or (definition is not None and definition.real == wanted)
    return is_wanted or (definition is not None and _derives(definition, wanted))


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
        return _fields(definition.node)
    args = node.args
    ordered = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(ordered) - len(args.defaults)) + [*args.defaults]
    parameters = [*zip(ordered, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    visible = parameters[1:] if isinstance(definition.node, ast.ClassDef) else parameters
    found = [Parameter(item.arg, None if value is None else ast.unparse(value)) for item, value in visible]
    if args.kwarg:
        found.append(Parameter(args.kwarg.arg, "{}"))  # any keywords, or none
    return tuple(found)


def _fields(node: ast.AST | None) -> tuple[Parameter, ...]:
    """Return the fields of a dataclass as parameters; none of any other class."""
    if not isinstance(node, ast.ClassDef) or not any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return ()
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return tuple(
        Parameter(ast.unparse(item.target), None if item.value is None else ast.unparse(item.value)) for item in fields
    )
