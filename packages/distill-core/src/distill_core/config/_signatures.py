"""Signatures, read from source or from the object, and checks of arguments against them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from yaml import Node

from ..errors import Problem, did_you_mean, nearest
from ._nodes import count
from ._sources import Definition, MissingError, follow
from .policy import OURS

_HARMLESS = frozenset(
    "register register_model no_grad inference_mode final dataclass deprecated staticmethod classmethod runtime_checkable "
    "abstractmethod override cache lru_cache checked with_example".split()
)
_OPAQUE_BASES = frozenset("Enum IntEnum StrEnum Flag NamedTuple TypedDict Protocol".split())


@dataclass(frozen=True)
class Parameter:
    """One parameter; `annotation` is an expression (from source) or a type (from the object)."""

    name: str
    required: bool
    positional: bool = True
    named: bool = True
    annotation: Any = None


@dataclass(frozen=True)
class Signature:
    """The parameters of a callable."""

    parameters: tuple[Parameter, ...] = ()
    var_positional: bool = False
    var_named: bool = False

    def annotation(self, name: str | int) -> Any:
        """Return the annotation of a parameter, by name or position; None if it has none."""
        if isinstance(name, int):
            positional = [parameter for parameter in self.parameters if parameter.positional]
            return positional[name].annotation if name < len(positional) else None
        return next((item.annotation for item in self.parameters if item.name == name and item.named), None)

    def mismatches(
        self, called: str, node: Node, args: Sequence[Node], kwargs: Mapping[str, tuple[Node, Node]], *, partial: bool
    ) -> list[tuple[Node, Problem]]:
        """Return the arguments that do not match, each with its node; a partial call may omit arguments."""
        wrong: list[tuple[Node, Problem]] = []
        positional = [parameter for parameter in self.parameters if parameter.positional]
        if len(args) > len(positional) and not self.var_positional:
            most = count(len(positional), "positional argument") if positional else "no positional arguments"
            message = f"{called}() takes {most}, not {len(args)}"
            wrong.append((args[len(positional)], Problem(message, id="too-many-arguments")))
        filled = {parameter.name for parameter in positional[: len(args)]}
        named = [parameter.name for parameter in self.parameters if parameter.named]
        for name, (key, _) in kwargs.items():
            if name in filled and name in named:
                message = f"{called}() gets '{name}' twice, by position and by name"
                wrong.append((key, Problem(message, id="argument-given-twice")))
            elif name not in named and not self.var_named:
                hint = did_you_mean(name, named) if len(named) <= 12 or nearest(name, named) else ""
                message = f"{called}() has no parameter '{name}'"
                wrong.append((key, Problem(message, hint=hint, id="unknown-argument")))
        missing = [item.name for item in self.parameters if item.required and item.name not in {*filled, *kwargs}]
        if missing and not partial:
            names = ", ".join(f"'{name}'" for name in missing)
            message = f"{called}() needs the argument{'s' if len(missing) > 1 else ''} {names}"
            wrong.append((node, Problem(message, id="missing-argument")))
        return wrong


def of_object(thing: Any) -> Signature | None:
    """Return the signature of a callable object; None if it is not available.

    The signature that a decorator of another package claims for its wrapper is ignored, because the wrapper may take
    other arguments.
    """
    ours = str(getattr(thing, "__module__", "")).partition(".")[0] in OURS
    try:
        found = inspect.signature(thing, follow_wrapped=ours)
    except (TypeError, ValueError):
        return None
    kinds = inspect.Parameter
    parameters = [
        Parameter(
            item.name,
            item.default is kinds.empty,
            item.kind is not kinds.KEYWORD_ONLY,
            item.kind is not kinds.POSITIONAL_ONLY,
            None if item.annotation is kinds.empty else item.annotation,
        )
        for item in found.parameters.values()
        if item.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]
    every = {item.kind for item in found.parameters.values()}
    return Signature(tuple(parameters), kinds.VAR_POSITIONAL in every, kinds.VAR_KEYWORD in every)


def of_definition(found: Definition, steps: int = 20) -> Signature | None:
    """Return the signature of a definition in source; None if the source does not show it."""
    if isinstance(found.node, ast.ClassDef):
        return _of_class(found, steps)
    if found.node is None or not _transparent(found.node):
        return None
    signature = _of_arguments(found.node.args)
    decorators = {_last(item) for item in found.node.decorator_list}
    if "." in found.name and "staticmethod" not in decorators:
        return _without_first(signature) if "classmethod" in decorators else None
    return signature


def of_method(found: Definition, name: str, steps: int = 20) -> Signature | None:
    """Return the signature of a method of a class's objects; None if the source does not show it."""
    node = found.node
    if not isinstance(node, ast.ClassDef) or steps <= 0 or node.keywords or not _transparent(node):
        return None
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if {"__new__", "__call__"} & methods.keys() or any(_sets(part, name, node) for part in ast.walk(node)):
        return None
    if name in methods:
        item = methods[name]
        is_static = any(_last(decorator) == "staticmethod" for decorator in item.decorator_list)
        return _without_first(_of_arguments(item.args)) if _transparent(item) and not is_static else None
    bases = _bases(node)
    if len(bases) != 1:
        return None
    base = _base(found, _dotted(bases[0]))
    return of_method(base, name, steps - 1) if base is not None else None


def _sets(part: ast.AST, name: str, node: ast.ClassDef) -> bool:
    """Return whether a part of a class may set an attribute of this name, otherwise than by a method in its body."""
    if isinstance(part, ast.Attribute):
        return part.attr == name and isinstance(part.ctx, ast.Store)
    if isinstance(part, ast.Constant):
        return part.value == name  # of setattr
    if isinstance(part, ast.FunctionDef):
        return part.name == name and part not in node.body  # under a condition
    return isinstance(part, ast.Name) and part.id == name


def _of_class(found: Definition, steps: int) -> Signature | None:
    node = found.node
    if not isinstance(node, ast.ClassDef) or steps <= 0 or node.keywords or not _transparent(node):
        return None
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if {"__new__", "__init_subclass__"} & methods.keys():
        return None
    if "__init__" in methods:
        init = methods["__init__"]
        return _without_first(_of_arguments(init.args)) if _transparent(init) else None
    if any(_last(item) == "dataclass" for item in node.decorator_list):
        return _of_dataclass(found, node, steps)
    bases = _bases(node)
    if not bases:
        return Signature()
    if len(bases) > 1 or _dotted(bases[0]).rpartition(".")[2] in {"", *_OPAQUE_BASES}:
        return None
    return _of_base(found, _dotted(bases[0]), steps)


def _bases(node: ast.ClassDef) -> list[ast.expr]:
    """Return the bases of a class that may have methods; the order of several shows only when the class is made."""
    return [base for base in node.bases if _dotted(base).rpartition(".")[2] not in ("object", "ABC", "Generic")]


def _of_base(found: Definition, name: str, steps: int) -> Signature | None:
    base = _base(found, name)
    return of_definition(base, steps - 1) if base is not None else None


def _base(found: Definition, name: str) -> Definition | None:
    """Return the class that a class names as its base; None if the source does not show it."""
    try:
        base = follow(found.source, name.split("."), 40) if found.source and name else None
    except MissingError:
        return None
    return base if base is not None and base.is_class else None


def _of_dataclass(found: Definition, node: ast.ClassDef, steps: int) -> Signature | None:
    decorator = next(item for item in node.decorator_list if _last(item) == "dataclass")
    options = (
        {item.arg for item in decorator.keywords if _is_true(item.value)} if isinstance(decorator, ast.Call) else set()
    )
    inherited: Signature | None = Signature()
    for base in node.bases:
        if (name := _dotted(base)) not in ("object", "ABC"):
            inherited = _of_base(found, name, steps) if name else None
    if inherited is None:
        return None
    parameters = {item.name: item for item in inherited.parameters}
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            parameter = _of_field(item, item.target.id)
            if parameter is not None:
                parameters[parameter.name] = replace(parameter, positional="kw_only" not in options)
    return replace(inherited, parameters=tuple(parameters.values()))


def _of_field(item: ast.AnnAssign, name: str) -> Parameter | None:
    if "ClassVar" in ast.unparse(item.annotation):
        return None
    required = item.value is None
    if isinstance(item.value, ast.Call) and _last(item.value) == "field":
        options = {word.arg: word.value for word in item.value.keywords}
        if "init" in options and not _is_true(options["init"]):
            return None
        required = not ({"default", "default_factory"} & options.keys())
    return Parameter(name, required, annotation=item.annotation)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _of_arguments(args: ast.arguments) -> Signature:
    ordered = [*args.posonlyargs, *args.args]
    first_default = len(ordered) - len(args.defaults)
    parameters = [
        Parameter(item.arg, number < first_default, True, number >= len(args.posonlyargs), item.annotation)
        for number, item in enumerate(ordered)
    ]
    parameters += [
        Parameter(item.arg, default is None, False, True, item.annotation)
        for item, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    return Signature(tuple(parameters), args.vararg is not None, args.kwarg is not None)


def _without_first(signature: Signature) -> Signature:
    return replace(signature, parameters=signature.parameters[1:])


def _transparent(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return all(_last(item) in _HARMLESS for item in node.decorator_list)


def _last(node: ast.expr) -> str:
    return _dotted(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _dotted(node.value)
    if isinstance(node, ast.Attribute):
        return f"{head}.{node.attr}" if (head := _dotted(node.value)) else ""
    return node.id if isinstance(node, ast.Name) else ""
