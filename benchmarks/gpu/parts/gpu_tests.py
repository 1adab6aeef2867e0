"""The tests that need a GPU."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from part import Part, Rows, Setting

_ROOT = Path(__file__).resolve().parents[3]
_MARK = "pytest.mark." + "gpu"


class _Reports:
    """A pytest plugin that collects the outcome of each test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome

    def pytest_collectreport(self, report: Any) -> None:
        if report.outcome == "failed":
            self.outcomes[report.nodeid] = "could not be collected"


def files() -> list[Path]:
    """Return the test files with tests for a GPU: collecting the others would take a minute."""
    return [path for path in sorted((_ROOT / "tests").rglob("test_*.py")) if _MARK in path.read_text(encoding="utf-8")]


def _rows(setting: Setting) -> Rows:  # noqa: ARG001
    os.environ["DISTILL_LIST_WARNINGS"] = "1"  # the machine may have other releases than the lock
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    paths, outcomes = files(), {}
    for path in paths:
        yield str(path.relative_to(_ROOT / "tests")), partial(_measure, path, paths, outcomes)


def _measure(path: Path, paths: Sequence[Path], outcomes: dict[str, str]) -> Sequence[str]:
    if not outcomes:
        outcomes |= _run(paths)
    own = {name: outcome for name, outcome in outcomes.items() if name.startswith(str(path.relative_to(_ROOT)))}
    others = [f"{name.partition('::')[2]} {outcome}" for name, outcome in own.items() if outcome not in _FINE]
    return [*(str(list(own.values()).count(word)) for word in _FINE), ", ".join(others) or "–"]


def _run(paths: Sequence[Path]) -> dict[str, str]:
    """Return the outcome of each test."""
    import pytest

    reports = _Reports()
    options = ["-m", "gpu", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider"]
    options += ["--rootdir", str(_ROOT), "-c", str(_ROOT / "pyproject.toml")]
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*options, *map(str, paths)], plugins=[reports])
    return reports.outcomes


_FINE = ("passed", "skipped")
PART = Part("Tests", "The tests with the mark `gpu`, file by file.", ("file", *_FINE, "others"), 60, _rows)
