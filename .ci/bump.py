"""Set the version of all four packages, of the requirements among them and of the citation; date the CHANGELOG.

hatch run release:bump 0.2.0
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VERSION = r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?"


def bump(root: Path, version: str, date: str) -> list[Path]:
    """Write the version into every file that has one, and return those files.

    Raises:
        ValueError: A file does not have its version where it is expected, or the version already has a section.
    """
    changes: dict[Path, Callable[[str], str]] = {root / "CHANGELOG.md": lambda text: _dated(text, version, date)}
    for path in sorted(root.glob("packages/*/src/*/__init__.py")):
        changes[path] = lambda text: _replaced(rf'(?m)^(__version__ = ")(?:{VERSION})(")$', version, text)
    for path in sorted(root.glob("packages/*/pyproject.toml")):
        changes[path] = lambda text: re.sub(rf'("distill-\w+==)(?:{VERSION})(")', rf"\g<1>{version}\g<2>", text)
    changes[root / "CITATION.cff"] = lambda text: _cited(text, version, date)
    new = {path: change(path.read_text(encoding="utf-8")) for path, change in changes.items()}
    for path, text in new.items():
        path.write_text(text, encoding="utf-8")
    return list(new)


def _replaced(pattern: str, version: str, text: str) -> str:
    new, count = re.subn(pattern, rf"\g<1>{version}\g<2>", text)
    if count != 1:
        message = f"{pattern} was found {count} times, not once"
        raise ValueError(message)
    return new


def _cited(text: str, version: str, date: str) -> str:
    text = _replaced(rf"(?m)^(version: )(?:{VERSION})()$", version, text)
    return re.sub(r"(?m)^(date-released: ).*$", rf"\g<1>{date}", text)


def _dated(text: str, version: str, date: str) -> str:
    """Put a heading with the version below `Unreleased`, so that what was unreleased belongs to it."""
    if f"## [{version}]" in text:
        message = f"CHANGELOG.md already has a section {version}"
        raise ValueError(message)
    return _replaced(r"(?m)^(## \[Unreleased\]\n)()", "", text).replace(
        "## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {date}\n", 1
    )


def main() -> None:
    """Read the command line and bump."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="the new version, for example 0.2.0")
    version = parser.parse_args().version
    if not re.fullmatch(VERSION, version):
        parser.error(f"{version} is not a version such as 0.2.0 or 0.2.0rc1")
    try:
        changed = bump(ROOT, version, dt.datetime.now(dt.UTC).date().isoformat())
    except ValueError as error:
        sys.exit(f"error: {error}")
    print("\n".join(path.relative_to(ROOT).as_posix() for path in changed))


if __name__ == "__main__":
    main()
