"""Modules as source files: their imports, definitions and assignments, read without importing them."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

_FROM = re.compile(r"^([ \t]*)from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_IMPORT = re.compile(r"^([ \t]*)import[ \t]+([^\n#]+)", re.MULTILINE)
_ASSIGNED = re.compile(r"^([A-Za-z_]\w*)[ \t]*(?::[^=\n]+)?=[ \t]*([\w.]*)", re.MULTILINE)
_DEFINED = re.compile(r"^(?:[ \t]+)?(?:async def|def|class)[ \t]+(\w+)", re.MULTILINE)
_DYNAMIC = re.compile(r"^def __getattr__|globals\(\)|sys\.modules\[__name__\]|setattr\(", re.MULTILINE)
_NEXT = re.compile(r"^(?=[^\s#)\]}])", re.MULTILINE)


@dataclass
class Source:
    """One module as a file."""

    name: str
    path: Path | None
    folders: tuple[Path, ...] = ()

    @functools.cached_property
    def text(self) -> str:
        """The source text; empty for a namespace package or a compiled module."""
        if self.path is None or self.path.suffix != ".py":
            return ""
        return self.path.read_text(encoding="utf-8", errors="replace")

    @property
    def is_dynamic(self) -> bool:
        """True if the module may have names that its source does not show."""
        return (self.path is not None and self.path.suffix != ".py") or bool(_DYNAMIC.search(self.text))

    @functools.cached_property
    def imports(self) -> dict[str, tuple[str, str | None]]:
        """Imported name → its module, and its name there (None: it is that module)."""
        found: dict[str, tuple[str, str | None]] = {}
        for match in _IMPORT.finditer(self.text):
            for item in match[2].split(","):
                name, _, alias = (part.strip() for part in item.strip().partition(" as "))
                if re.fullmatch(r"[\w.]+", name):
                    found.setdefault(alias or name.partition(".")[0], (name if alias else name.partition(".")[0], None))
        for match in _FROM.finditer(self.text):
            for name, alias in _names(match[3]):
                if name != "*":
                    if match[1] == "":
                        found[alias] = (self.absolute(match[2]), name)
                    else:
                        found.setdefault(alias, (self.absolute(match[2]), name))
        return found

    @functools.cached_property
    def stars(self) -> list[str]:
        """The modules of `from … import *`."""
        matches = _FROM.finditer(self.text)
        return [self.absolute(match[2]) for match in matches if ("*", "*") in list(_names(match[3]))]

    @functools.cached_property
    def assigned(self) -> dict[str, str]:
        """Name → the single name that is assigned to it, or an empty string."""
        return {match[1]: match[2] for match in _ASSIGNED.finditer(self.text)}

    def absolute(self, module: str) -> str:
        """Return the full name of a module that this one imports."""
        dots = len(module) - len(module.lstrip("."))
        if not dots:
            return module
        package = self.name.split(".")
        if not self.folders:
            package = package[:-1]
        package = package[: len(package) - dots + 1]
        return ".".join([*package, *filter(None, [module[dots:]])])

    def names(self) -> list[str]:
        """Return the public names in the source, for a hint."""
        files = [path.stem for folder in self.folders for path in folder.glob("*.py")]
        defined = [match[1] for match in _DEFINED.finditer(self.text) if not match[0].startswith((" ", "\t"))]
        stars = [name for star in self.stars if (below := load_source(star)) for name in below.names()]
        known = {*files, *defined, *self.imports, *self.assigned, *stars}
        return sorted(name for name in known if not name.startswith("_"))

    def block(self, name: str) -> ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | None:
        """Return the top-level statement that defines `name`, parsed alone."""
        pattern = re.compile(rf"^(?:async def|def|class)[ \t]+{re.escape(name)}\b", re.MULTILINE)
        for match in reversed(list(pattern.finditer(self.text))):
            statement = _parse_block(self.text, match.start())
            if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                return statement
        return None


def _names(text: str) -> Iterator[tuple[str, str]]:
    """Yield the names in `a, b as c`, each with its alias."""
    text = re.sub(r"#[^\n]*", "", text).strip("() \t\n").replace("\\\n", " ")
    for item in text.split(","):
        name, _, alias = (part.strip() for part in re.sub(r"\s+", " ", item).strip().partition(" as "))
        if name:
            yield name, alias or name


def _parse_block(text: str, start: int) -> ast.stmt | None:
    """Parse the statement at `start` together with its decorators."""
    head = start
    while head and (previous := text.rfind("\n", 0, head - 1) + 1) < head:
        line = text[previous:head]
        if not line.startswith("@") and not (line.startswith((")", " ", "#")) and _decorated(text, previous)):
            break
        head = previous
    for match in _NEXT.finditer(text, start + 1):
        end = match.start()
        try:
            return ast.parse(text[head:end]).body[0]
        except SyntaxError:
            if end - start > 400_000:
                return None
    try:
        return ast.parse(text[head:]).body[0]
    except SyntaxError:
        return None


def _decorated(text: str, at: int) -> bool:
    """Return whether the lines before `at` begin a decorator of several lines."""
    before = text[max(0, at - 2000) : at].splitlines()
    for line in reversed(before):
        if line.startswith("@"):
            return "(" in line
        if not line.startswith((" ", ")", "#")):
            return False
    return False


@functools.cache
def load_source(name: str) -> Source | None:
    """Return the source of a module, found without importing its parents; None if it does not exist."""
    top, *rest = name.split(".")
    if not rest:
        spec = PathFinder.find_spec(top)
        if spec is None:
            return None
        folders = tuple(Path(folder) for folder in spec.submodule_search_locations or ())
        return Source(top, Path(spec.origin) if spec.has_location and spec.origin else None, folders)
    parent = load_source(name.rpartition(".")[0])
    for folder in parent.folders if parent else ():
        base = folder / rest[-1]
        if (base / "__init__.py").is_file():
            return Source(name, base / "__init__.py", (base,))
        if base.with_suffix(".py").is_file():
            return Source(name, base.with_suffix(".py"))
        if compiled := next(folder.glob(f"{rest[-1]}.*.so"), None):
            return Source(name, compiled)
        if base.is_dir() and next(base.glob("*.py"), None):
            return Source(name, None, (base,))
    return None
