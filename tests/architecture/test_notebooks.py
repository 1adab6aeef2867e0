"""The notebooks run, and are committed without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs/notebooks").glob("*.ipynb"))
FIRST = "image_classification"
"""The notebook that the default suite runs; the others take the same path on other tasks."""


def cells(path: Path, kind: str) -> list[dict[str, object]]:
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["nbformat"] == 4
    return [cell for cell in found["cells"] if cell["cell_type"] == kind]


def test_every_task_has_a_notebook():
    tasks = {"detection", "image_classification", "language_modelling", "segmentation", "text_classification"}
    assert {path.stem for path in NOTEBOOKS} == tasks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_a_title_and_no_outputs(path):
    assert "".join(cells(path, "markdown")[0]["source"]).startswith("# ")
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells(path, "code"))


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[] if path.stem == FIRST else pytest.mark.slow, id=path.stem) for path in NOTEBOOKS],
)
def test_the_cells_of_a_notebook_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells(path, "code")):
        exec(compile("".join(cell["source"]), f"{path.name}, code cell {number}", "exec"), names)
    assert names["results"]["last"]["test"]
