"""Copies of the modules beside an experiment in the folder of its run, and their changes since."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..records import write_record
from ._changed import Changes
from ._run_files import CODE, newest_version, next_version, numbered

if TYPE_CHECKING:
    from ..config import Document


def newest_code(folder: Path) -> Path | None:
    """Return the newest folder of copies of a run: `code`, or `code.2` after an accepted change; None if it has none."""
    newest = newest_version(folder, CODE)
    return newest if newest.is_dir() else None


def keep_code(folder: Path, document: Document, trust: Sequence[str]) -> dict[str, str]:
    """Copy the sources of the trusted modules beside a document that a run uses, if the newest copies differ from them.

    Those are the imported ones, and the ones that functions of theirs import later.

    Args:
        folder: Output folder of the run.
        document: The experiment.
        trust: Names of packages, or `.`.

    Returns:
        The SHA-256 of each file by its path.
    """
    from ..config import modules_beside

    contents = {name: file.read_bytes() for name, file in modules_beside(document, trust).items()}
    used = _used(contents)
    found = {name: content for name, content in contents.items() if _top(name) in used}
    newest = newest_code(folder)
    if newest is None:
        target = folder / CODE if found else None
    else:  # also if a copied module was removed, so that the change is accepted once
        is_new = any(_read(newest / name) != content for name, content in found.items())
        is_changed = is_new or changes_of_code(folder, document.modules or document.path.parent)
        target = numbered(folder, CODE, next_version(folder, CODE)) if is_changed else None
    if target is not None:
        target.mkdir()
        for name, content in found.items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            write_record(target / name, content)
    return {name: _sha256(content) for name, content in found.items()}


def changes_of_code(folder: Path, modules: Path) -> Changes:
    """Return the copies of a run that differ from the modules in a folder: `code.<path>` → SHA-256 before and now.

    Args:
        folder: Output folder of the run.
        modules: The folder of modules beside the experiment.
    """
    newest = newest_code(folder)
    if newest is None:
        return {}
    changes: Changes = {}
    for file in sorted(newest.rglob("*.py")):
        name = file.relative_to(newest).as_posix()
        old, new = _sha256(file.read_bytes()), _read(modules / name)
        if new is None or _sha256(new) != old:
            changes[f"{CODE}.{name}"] = (old, None if new is None else _sha256(new))
    return changes


def _used(contents: Mapping[str, bytes]) -> set[str]:
    """Return the modules that are imported, and those that their sources name in further imports."""
    modules = {_top(name) for name in contents}
    used: set[str] = set()
    found = modules & sys.modules.keys()
    while found:
        used |= found
        sources = [content for name, content in contents.items() if _top(name) in found]
        found = {name for source in sources for name in _imports(source)} & modules - used
    return used


def _imports(source: bytes) -> Iterator[str]:
    """Yield the modules that a source imports, without their submodules."""
    try:
        nodes = [*ast.walk(ast.parse(source))]
    except (SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (item.name.partition(".")[0] for item in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _top(name: str) -> str:
    """Return the module in whose file or folder a file lies."""
    return name.partition("/")[0].removesuffix(".py")


def _read(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
