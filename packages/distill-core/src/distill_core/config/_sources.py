"""Search for a definition in source files, without importing anything.

Names are followed through re-exports (`from ._x import Y as Y`, `from .a import *`, `import a.b as c`). Only the needed
block is parsed, which keeps a check fast although torch's files are long.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
from dataclasses import dataclass, field

from ..errors import Problem
from ._guard import install_hint
from ._modules import Source, load_source
from ._problems import NotFoundError
from ._refusals import name_missing
from .policy import ROOTS

_MAX_STEPS = 40


@dataclass(frozen=True)
class Definition:
    """The definition that a name leads to.

    Attributes:
        module: The module that defines it.
        name: Its name there, `Class.method` for a method.
        node: Its parsed statement, if it is a class or function.
        source: The module's source, in which the bases of a class are looked up.
        sure: Whether the source shows it; a module may create names during its import.
    """

    module: str
    name: str
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | None = None
    source: Source | None = field(default=None, repr=False, compare=False)
    sure: bool = True

    @property
    def real(self) -> str:
        """Its full name."""
        return f"{self.module}.{self.name}" if self.name else self.module

    @property
    def is_class(self) -> bool:
        """Whether it is a class."""
        return isinstance(self.node, ast.ClassDef)


class MissingError(Exception):
    """A module does not have the name."""

    def __init__(self, source: Source, name: str) -> None:
        super().__init__(f"{source.name}.{name}")
        self.source, self.name = source, name


@functools.cache
def find_definition(path: str) -> Definition | None:
    """Return the definition that `path` leads to; None if the sources do not show it.

    Raises:
        NotFoundError: The module or name does not exist.
    """
    top, _, rest = path.partition(".")
    source = load_source(top)
    if source is None:
        message = f"the package '{top}' is not installed"
        raise NotFoundError(Problem(message, hint=install_hint(top), id="package-missing"))
    try:
        return follow(source, rest.split(".") if rest else [], _MAX_STEPS)
    except MissingError as error:
        raise name_missing(error.source.name, error.name, error.source.names()) from None


def follow(source: Source, names: list[str], steps: int) -> Definition | None:
    """Follow `names` from a module.

    Raises:
        MissingError: A name does not exist.
    """
    if steps <= 0:
        return None
    if not names:
        return Definition(source.name, "", None, source)
    name, rest = names[0], names[1:]
    if statement := source.block(name):
        return _inside(source, statement, rest)
    if name in source.imports:
        module, original = source.imports[name]
        return _imported(module, [original] if original else [], rest, source, steps - 1)
    if below := load_source(f"{source.name}.{name}"):
        return _module_or_star(source, below, names, steps - 1)
    if name in source.assigned:
        alias = source.assigned[name]
        if alias and alias != name and alias.partition(".")[0] in source.imports:
            return follow(source, [*alias.split("."), *rest], steps - 1)
        return Definition(source.name, ".".join(names), None, source)
    return _from_stars(source, names, steps - 1)


def _module_or_star(source: Source, below: Source, names: list[str], steps: int) -> Definition | None:
    """Follow a name that is a submodule, and perhaps also what `from .name import *` binds over it.

    At the end of a path the name is Python's attribute: `torchvision.models.alexnet` is the function. A longer path
    continues in the module: `torchvision.models.alexnet.AlexNet`.

    Raises:
        MissingError: A name does not exist.
    """
    if len(names) > 1:
        return follow(below, names[1:], steps)
    if below.name in source.stars:
        with contextlib.suppress(MissingError):
            found = follow(below, names, steps)
            if found is not None and found.sure:
                return found
        if re.search(rf"""(['"]){re.escape(names[0])}\1[ \t]*:""", below.text):  # a table of names created at import
            return Definition(source.name, names[0], None, source, sure=False)
    return follow(below, [], steps)


def _imported(module: str, original: list[str], rest: list[str], by: Source, steps: int) -> Definition | None:
    """Follow a name that `by` imports as `module` or from it."""
    names = [*original, *rest]
    if original and (below := load_source(f"{module}.{original[0]}")) and module == by.name:
        return follow(below, rest, steps)
    target = load_source(module)
    if target is None or not _same_family(module, by.name):
        return Definition(module, ".".join(names))
    return follow(target, names, steps)


def _same_family(module: str, by: str) -> bool:
    return module.partition(".")[0] in (*ROOTS, by.partition(".")[0])


def _from_stars(source: Source, names: list[str], steps: int) -> Definition | None:
    unsure = source.is_dynamic
    for star in source.stars if not names[0].startswith("_") else ():
        target = load_source(star)
        if target is None:
            unsure = True
            continue
        if names[0] not in target.text and not target.stars and not target.is_dynamic:
            continue
        try:
            found = follow(target, names, steps)
        except MissingError:
            continue
        if found is not None and found.sure:
            return found
        unsure = True
    if unsure:
        return Definition(source.name, ".".join(names), None, source, sure=False)
    raise MissingError(source, names[0])


def _inside(source: Source, statement: ast.stmt, rest: list[str]) -> Definition | None:
    """Return the definition of a name inside a class, or the definition itself."""
    names = [statement.name]  # type: ignore[attr-defined]
    for name in rest:
        if not isinstance(statement, ast.ClassDef):
            return None
        named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        inner = [item for item in statement.body if isinstance(item, named) and item.name == name]
        names.append(name)
        if not inner:
            return Definition(source.name, ".".join([*names, *rest[len(names) - 1 :]]), None, source)
        statement = inner[-1]
    node = statement if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) else None
    return Definition(source.name, ".".join(names), node, source)
