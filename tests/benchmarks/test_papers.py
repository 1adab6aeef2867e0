"""The tables of the papers: the page is written from the table, and each row has a recipe that checks."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest

from distill_core.cli.inspect._check import check_file

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
_spec = importlib.util.spec_from_file_location("papers", BENCHMARKS / "papers.py")
papers = importlib.util.module_from_spec(_spec)
sys.modules["papers"] = papers
_spec.loader.exec_module(papers)

PARTS = [part for parts in papers.PARTS.values() for part in parts]
ROWS = [(part, row) for part in PARTS for row in part.rows]


def test_the_page_is_written_from_the_table():
    assert (BENCHMARKS / "README.md").read_text(encoding="utf-8") == papers.page()


def test_every_file_of_the_papers_has_a_row():
    """Files of both papers, listed by torchdistill 1.1.5 and, for CIFAR and VOC, by its list of published weights."""
    listed = json.loads((Path(__file__).parent / "torchdistill_recipes.json").read_text(encoding="utf-8"))["recipes"]
    official = {
        name.removeprefix("official/").replace("yoshitomo-matsubara/", "")
        for name in listed
        if name.startswith("official/") and "/yoshitomo-matsubara/" in name
    }
    assert official - {row.theirs for _, row in ROWS} == set()
    assert len({row.theirs for _, row in ROWS}) == len(ROWS)


def test_every_folder_is_listed():
    folders = {path.name for path in BENCHMARKS.iterdir() if path.is_dir() and (path / "README.md").exists()}
    assert folders <= papers.FOLDERS.keys()
    assert all((BENCHMARKS / name).is_dir() for name in papers.FOLDERS)


@pytest.mark.parametrize(("part", "row"), ROWS, ids=lambda value: getattr(value, "theirs", ""))
def test_the_command_of_a_row_checks(part, row, capsys, monkeypatch):
    monkeypatch.chdir(BENCHMARKS.parent)
    _, _, file, *overrides = shlex.split(papers._command(part, row))
    check_file(Path(file), overrides)
    assert "no problems" in capsys.readouterr().out


def test_the_recipes_of_the_data_sets_exist():
    assert all((BENCHMARKS / recipe).is_file() for recipe in papers.DATA.values())


def test_glue_has_the_numbers_of_its_page():
    lines = (BENCHMARKS / "glue/README.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| BERT")]
    rows = {name: numbers for name, *numbers in table}
    ours = {}
    for part in PARTS:
        for row in part.rows if "GLUE" in part.title else ():
            ours.setdefault(row.name.rpartition(", ")[2], []).append(row.published)
    assert ours == rows
