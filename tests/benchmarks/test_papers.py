"""The tables of the papers: the page is written from the table, and each row has a recipe that checks."""

from __future__ import annotations

import importlib.util
import json
import operator
import shlex
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from distill_core import report
from distill_core.cli.inspect._check import check_file
from distill_vision.models import wide_resnet

from .recipe_stages import load

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # as for the script itself
_spec = importlib.util.spec_from_file_location("papers", BENCHMARKS / "papers.py")
papers = importlib.util.module_from_spec(_spec)
sys.modules["papers"] = papers
_spec.loader.exec_module(papers)
sys.path.remove(str(BENCHMARKS))

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


def test_the_results_of_this_repository_exist():
    assert all((BENCHMARKS / table).is_file() for table in papers.RESULTS)


def test_our_numbers_belong_to_rows_and_are_those_of_their_tables():
    """Each is a cell of the linked table, in a row of the log; a table of its own is not written by hand."""
    names = [row.name for _, row in ROWS]
    assert papers.our_numbers.OURS.keys() <= set(names)
    assert all(names.count(name) == 1 for name in papers.our_numbers.OURS)
    for name, numbers in papers.our_numbers.OURS.items():
        for log, row in numbers:
            assert log.values(row), f"{name}: no run of '{row}'"
            mean = report.mean_and_deviation(log.values(row))
            percent, fraction = (report.plus_minus(mean, percent=percent) for percent in (True, False))
            assert percent in papers.our_numbers.cell(name)
            table = (BENCHMARKS / log.table).read_text(encoding="utf-8")
            assert f"| {percent} |" in table or f"| {fraction} |" in table, f"{name}: {percent} is not in {log.table}"


def test_the_stages_that_stop_are_those_of_the_overhead_page():
    page = (BENCHMARKS / "overhead/early_stop.md").read_text(encoding="utf-8")
    rows = papers.our_numbers.stopped_stages().splitlines()[2:]
    assert len(rows) == sum(line.startswith("| ") for line in page.splitlines()) - 2
    for row in rows:
        name, complete, stopped, redesigned = (cell.strip() for cell in row.strip("|").split("|"))
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert [complete, stopped, redesigned] == [cells[1], cells[3], cells[4]]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.title)
def test_an_estimate_has_the_epochs_of_its_recipe(part):
    (row,) = [row for row in part.rows if row.name == part.work.row]
    assert sum(stage["epochs"] for stage in load(BENCHMARKS / row.recipe)["stages"]) == part.work.epochs


def bert(layers: int, width: int, tokens: int = 128) -> float:
    """Return the multiply-adds of BERT's layers: four projections, two layers of the width times 4, and the attention."""
    return layers * (tokens * 12 * width**2 + 2 * tokens**2 * width) / 1e9


def test_estimates_have_the_operations_of_the_models():
    torchvision = importlib.import_module("torchvision.models")
    listed = {
        "KD": ("ResNet18_Weights", "ResNet34_Weights"),
        "KR, ResNet-18 from ResNet-34": ("ResNet18_Weights", "ResNet34_Weights"),
        "Faster R-CNN": ("detection.FasterRCNN_ResNet50_FPN_Weights",) * 2,
        "DeepLabv3, ResNet-101, on VOC": ("segmentation.DeepLabV3_ResNet101_Weights",),
    }
    expected = {
        name: [operator.attrgetter(weights)(torchvision).DEFAULT.meta["_ops"] for weights in models]
        for name, models in listed.items()
    }
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        wide_resnet(28, 10)(torch.zeros(1, 3, 32, 32))
    expected |= {"WRN-28-10": [counter.get_total_flops() / 2e9]}
    expected |= {"MNLI-m/mm, BERT-Base from BERT-Large": [bert(12, 768), bert(24, 1024)]}
    for part in PARTS:
        found = [part.work.student, *([part.work.teacher] if part.work.teacher else [])]
        assert found == pytest.approx(expected[part.work.row], rel=0.01)


def test_the_hours_of_kd_on_imagenet():
    """128 million images, 9.1 billion multiply-adds each: 2.3e18 operations, 78 thousand seconds."""
    assert PARTS[0].work.hours == pytest.approx(21.6, abs=0.05)
    assert str(PARTS[0].work).startswith("About 22 GPU hours for KD: 100 epochs of 1,281,167 samples, (3 × 1.8 + 3.7)")


def test_glue_has_the_numbers_of_its_page():
    lines = (BENCHMARKS / "glue/README.md").read_text(encoding="utf-8").splitlines()
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| BERT")]
    rows = {name: numbers for name, *numbers in table}
    ours = {}
    for part in PARTS:
        for row in part.rows if "GLUE" in part.title else ():
            ours.setdefault(row.name.rpartition(", ")[2], []).append(row.published)
    assert ours == rows
