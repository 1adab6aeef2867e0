"""Modules beside the file of an experiment, which it may name once they are trusted.

The folder of the file is never on the import path: a file there could be called like any library. Trusted modules alone
are linked into a folder of their own at the end of the path, so that installed packages come first, also in the
processes that read data.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from .._document import Document
from .._modules import load_source
from .._sources import find_definition
from ..policy import ROOTS

BESIDE = "."
"""What `--trust` takes for all modules beside the file."""


def module_beside(folder: Path, name: str) -> Path | None:
    """Return the module or package of this name in a folder; None if there is none, or if Python has another one."""
    if not name.isidentifier() or name in ROOTS or name in sys.stdlib_module_names:
        return None
    found = next((path for path in (folder / f"{name}.py", folder / name) if _is_module(path)), None)
    installed = _installed(name) if found else None
    return found if found is None or installed is None or _file(found).resolve() == installed.resolve() else None


def trusted(document: Document, trust: Sequence[str]) -> tuple[str, ...]:
    """Return the trusted names with `.` replaced by all modules beside a document, and make those importable.

    Args:
        document: The document.
        trust: Names of packages, or `.`.
    """
    folder = document.modules or document.path.parent
    names = [name for name in trust if name != BESIDE]
    if len(names) < len(trust):
        names += [
            path.stem for path in sorted(folder.iterdir()) if _is_module(path) and module_beside(folder, path.stem)
        ]
    for name in dict.fromkeys(name.partition(".")[0] for name in names):
        path = module_beside(folder, name)
        if path is not None and _installed(name) is None:
            _link(path.resolve())
    return tuple(dict.fromkeys(names))


def modules_beside(document: Document, trust: Sequence[str]) -> dict[str, Path]:
    """Return the sources of the trusted modules beside a document, without hidden ones: path from there → file.

    Args:
        document: The document.
        trust: Names of packages, or `.`.
    """
    folder = document.modules or document.path.parent
    tops = dict.fromkeys(name.partition(".")[0] for name in trusted(document, trust))
    modules = [path for name in tops if (path := module_beside(folder, name)) is not None]
    files = [file for path in modules for file in (_sources(path) if path.is_dir() else [path])]
    return {file.relative_to(folder).as_posix(): file for file in files}


def hint_beside(document: Document, name: str) -> str:
    """Return the hint for a module beside a document that is not trusted; empty if there is none."""
    path = module_beside(document.modules or document.path.parent, name)
    if path is None:
        return ""
    return f"add '--trust {name}' if you trust {path.name} beside the file, or '--trust .' for all modules there"


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" and path.is_file() if not path.is_dir() else _file(path).is_file()


def _sources(package: Path) -> list[Path]:
    files = sorted(package.rglob("*.py"))
    return [file for file in files if not any(part.startswith(".") for part in file.relative_to(package).parts)]


def _file(module: Path) -> Path:
    return module / "__init__.py" if module.is_dir() else module


def _installed(name: str) -> Path | None:
    """Return the file of a module that Python finds without the links; None if it finds none."""
    spec = PathFinder.find_spec(name, [entry for entry in sys.path if entry != str(_links())])
    if spec is None:
        return None
    return Path(spec.origin) if spec.origin else Path(*(spec.submodule_search_locations or ["."])[:1])


@functools.cache
def _links() -> Path:
    """Return the folder of links, which is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="distill-modules-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _link(path: Path) -> None:
    """Make a module importable under its name; a module of this name from another folder is forgotten."""
    link = _links() / path.name
    if link.resolve() != path or not link.exists():
        for earlier in (_links() / path.stem, _links() / f"{path.stem}.py"):  # a package and a file of one name
            earlier.unlink(missing_ok=True)
        shutil.rmtree(_links() / "__pycache__", ignore_errors=True)  # compared by seconds and size only
        try:
            link.symlink_to(path, target_is_directory=path.is_dir())
        except OSError:  # Windows without the right to create links
            shutil.copytree(path, link) if path.is_dir() else shutil.copyfile(path, link)
        for name in [name for name in sys.modules if name.partition(".")[0] == path.stem]:
            del sys.modules[name]
        importlib.invalidate_caches()
        load_source.cache_clear()
        find_definition.cache_clear()
    if str(_links()) not in sys.path:
        sys.path.append(str(_links()))
