from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from distill_core.config import Builder, Document, check, read
from distill_core.errors import ConfigError, Problem
from distill_core.experiment import Evaluation, Experiment, Metric, Stage, Term

SCHEMAS = {"Evaluation": Evaluation, "Metric": Metric, "Stage": Stage, "Term": Term}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def schemas() -> Mapping[str, type]:
    """Return the dataclasses of arguments."""
    return SCHEMAS


@pytest.fixture
def document() -> Callable[..., Document]:
    """Read a text as `run.yaml`, with other files beside it."""

    def make(text: str, *overrides: str, files: Mapping[str, str] | None = None) -> Document:
        for name, content in {"run.yaml": text, **(files or {})}.items():
            Path(name).write_text(content, encoding="utf-8")
        return read("run.yaml", overrides)

    return make


@pytest.fixture
def build(document: Callable[..., Document]) -> Callable[..., dict[str, object]]:
    """Build a text as a plain mapping."""

    def make(text: str, *overrides: str, trust: tuple[str, ...] = (), files: Mapping[str, str] | None = None) -> object:
        made = document(text, *overrides, files=files)
        return Builder(made, trust).build(made.root)

    return make


@pytest.fixture
def problems(document: Callable[..., Document]) -> Callable[..., list[Problem]]:
    """Return all problems that reading and checking a text finds."""

    def find(
        text: str, *overrides: str, trust: tuple[str, ...] = (), files: Mapping[str, str] | None = None
    ) -> list[Problem]:
        try:
            made = document(text, *overrides, files=files)
        except ConfigError as error:
            return list(error.problems)
        return check(made, Experiment, SCHEMAS, trust)

    return find
