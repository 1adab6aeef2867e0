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
from ._run_files import CODE

if TYPE_CHECKING:
    from ..config import Document


def newest_code(folder: Path) -> Path | None:
    """Return the newest folder of copies of a run: `code`, or `code.2` after an accepted change; None if it has none."""
    found = {_version(path): path for path in folder.glob(f"{CODE}*") if path.is_dir() and _version(path)}
    return found[max(found)] if found else None


def keep_code(folder: Path, document: Document, trust: Sequence[str]) -> dict[str, str]:
    """Copy the sources of the trusted modules beside a document that a run uses, if they differ from the newest copies.

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
    if found and (newest is None or any(_read(newest / name) != content for name, content in found.items())):
        target = folder / (CODE if newest is None else f"{CODE}.{_version(newest) + 1}")
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


def _version(folder: Path) -> int:
    """Return the version of a folder of copies: `code` → 1, `code.2` → 2; 0 for any other folder."""
    if folder.name == CODE:
        return 1
    name, _, number = folder.name.partition(".")
    return int(number) if name == CODE and number.isdecimal() else 0


def _top(name: str) -> str:
    """Return the module in whose file or folder a file lies."""
    return name.partition("/")[0].removesuffix(".py")


def _read(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
