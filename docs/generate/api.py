"""The pages of the public API: one for each public module."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator, Sequence
from typing import ParamSpec, TypeVar

from .docstrings import escaped, first_line, markdown

PACKAGES = ("distill_core", "distill_vision", "distill_nlp", "distill_zoo")


def pages() -> dict[str, str]:
    """Return the pages by name: `api/index`, and `api/MODULE` for each public module that exports something."""
    modules = {module: page for module in _modules() if (page := _page(module))}
    names = [module.__name__ for module in modules]
    toctree = "\n".join(["```{toctree}\n:hidden:\n", *names, "```"])
    parts = ["# Python API", *(_table(package, list(modules)) for package in PACKAGES), toctree]
    return {
        "api/index": "\n\n".join(parts) + "\n",
        **{f"api/{module.__name__}": page for module, page in modules.items()},
    }


def _table(package: str, modules: Sequence[types.ModuleType]) -> str:
    """Return a section with what each module of a package contains."""
    own = [module for module in modules if module.__name__.split(".")[0] == package]
    rows = [
        f"| [{module.__name__.removeprefix(f'{package}.')}]({module.__name__}.md) | {escaped(first_line(module.__doc__))} |"
        for module in own
    ]
    return "\n".join([f"## {package}\n", "| module | contents |", "|---|---|", *rows])


def _modules() -> Iterator[types.ModuleType]:
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not any(piece.startswith("_") for piece in found.name.split(".")):
                yield importlib.import_module(found.name)


def _page(module: types.ModuleType) -> str:
    members = _exports(module)
    if not members:
        return ""
    parts = [f"# {module.__name__}", escaped(first_line(module.__doc__))]
    for name, value in sorted(members.items()):
        parts += [f"## {name}", *_entry(name, value)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _exports(module: types.ModuleType) -> dict[str, object]:
    """Return the public objects that a module lists, or defines or exports from its private files, type variables excepted."""
    if listed := getattr(module, "__all__", None):
        return {name: getattr(module, name) for name in listed}
    members = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {name: value for name, value in members.items() if _is_documented(value, module.__name__)}


def _is_documented(value: object, home: str) -> bool:
    defined = getattr(value, "__module__", "") or ""
    is_own = defined == home or defined.startswith(f"{home}._")
    return is_own and not isinstance(value, types.ModuleType | TypeVar | ParamSpec)


def _entry(name: str, value: object) -> Iterator[str]:
    if not callable(value):
        kind = type(value)
        yield f"An instance of `{kind.__module__}.{kind.__qualname__}`."
        return
    yield _signature(name, value)
    yield markdown(inspect.getdoc(value))
    yield from _methods(value)


def _signature(name: str, value: object) -> str:
    try:
        signature = str(inspect.signature(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""
    language = "text" if "<" in signature else "python"  # the repr of a default is not Python
    return f"```{language}\n{name}{signature}\n```"


def _methods(value: object) -> Iterator[str]:
    if not inspect.isclass(value):
        return
    for name, member in vars(value).items():
        if name.startswith("_") or not inspect.isfunction(member) or not member.__doc__:
            continue
        yield f"### {name}\n\n{_signature(name, member)}\n\n{markdown(inspect.getdoc(member))}"
