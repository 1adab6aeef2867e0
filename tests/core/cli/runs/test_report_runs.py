"""`distill report`: finished runs below some folders as a table."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

CAPTION = "Best epoch: max top1 on val. Test split: evaluated once, at the end. ±: sample standard deviation over runs with different seeds."


def made(folder: str, seed: int, top1: float | None, **changes: Any) -> None:
    """A finished run."""
    results: dict[str, Any] = {
        "best": {"stage": 0, "epoch": 3, "val": {"top1": 90.0}, "test": {"top1": top1, "top5": 99.0}},
        "last": {"stage": 0, "epoch": 9, "val": {"top1": 80.0}, "test": {"top1": top1, "top5": 99.0}},
        "selection": {"metric": "top1", "mode": "max", "split": "val"},
        "seed": seed,
        "seconds": 1.5,
        "parameters": {"student": 1234},
    }
    Path(folder).mkdir(parents=True)
    Path(folder, "config.resolved.yaml").write_text("seed: 0\n")
    Path(folder, "results.json").write_text(json.dumps(results | changes))


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows(text: str) -> dict[str, list[str]]:
    """Name → number of runs and the metric of the best epoch."""
    lines = [re.split(r"  +", line.strip()) for line in text.splitlines() if "1,234" in line]
    return {re.sub(r" +1,234$", "", line[0]): line[-4:-2] for line in lines}


def test_rows_are_in_the_order_of_the_folders_and_then_of_the_names(distill):
    for number, row in enumerate(("b/kd", "b/alone", "a/teacher")):
        for seed in (0, 1):
            made(f"{row}/seed{seed}", seed, 90.0 + number + 2 * seed)
    ended = distill("report", "b", "a", "b/kd")
    assert (ended.code, ended.err) == (0, "")
    assert list(rows(ended.out).items()) == [
        ("alone", ["2", "92.00 ± 1.41"]),
        ("kd", ["2", "91.00 ± 1.41"]),
        ("teacher", ["2", "93.00 ± 1.41"]),
    ]
    assert ended.out.splitlines()[0].strip() == "b, a, b/kd"
    assert " ".join(ended.out.split()).endswith(CAPTION)
    assert sorted(path.name for path in Path().iterdir()) == ["a", "b"]


def test_what_is_not_finished_is_told_and_what_is_no_run_is_not(distill):
    made("kd/seed0", 0, 90.0)
    Path("kd/seed1").mkdir()
    Path("kd/seed1/config.resolved.yaml").write_text("seed: 1\n")
    Path("kd/summary").mkdir()
    Path("kd/summary/results.json").write_text("[]")
    ended = distill("report", "kd")
    assert (ended.code, ended.err) == (0, "1 unfinished, omitted: kd/seed1\n")
    assert rows(ended.out) == {"kd": ["1", "90.00"]}


def test_runs_that_are_no_seeds_of_one_experiment_are_not_averaged(distill):
    made("sweep/lr=0.1", 0, 90.0, about="a student")
    made("sweep/lr=0.2", 0, 80.0, about="a student")
    made("digits/kd/seed0", 0, 70.0)
    made("fashion/kd/seed0", 0, 60.0)
    made("fashion/kd/seed1", 1, 60.0)
    assert rows(distill("report", "sweep").out) == {
        "a student (lr=0.1)": ["1", "90.00"],
        "a student (lr=0.2)": ["1", "80.00"],
    }
    assert rows(distill("report", "digits", "fashion").out) == {
        "kd (digits/kd)": ["1", "70.00"],
        "kd (fashion/kd)": ["2", "60.00 ± 0.00"],
    }


def test_the_seeds_of_each_setting_of_a_sweep_share_a_row(distill):
    for lr, top1 in ((0.1, 90.0), (0.2, 80.0)):
        for seed in (0, 1):
            made(f"sweep/lr={lr},seed={seed}", seed, top1 + 2 * seed, about="a student")
            config = f"seed: {seed}\ndata: {{seed: {seed}, size: 1}}\nstages: [{{lr: {lr}}}]\n"
            Path(f"sweep/lr={lr},seed={seed}/config.resolved.yaml").write_text(config)
    assert rows(distill("report", "sweep").out) == {
        "a student (lr=0.1)": ["2", "91.00 ± 1.41"],
        "a student (lr=0.2)": ["2", "81.00 ± 1.41"],
    }


def test_repeated_runs_have_a_row_each(distill):
    for time in ("monday", "tuesday"):
        made(f"kd/{time}", 0, 90.0, about="a student")
    assert len(rows(distill("report", "kd").out)) == 2


def test_the_files_hold_what_was_printed_and_no_place_of_this_machine(distill, tmp_path):
    made("digits/kd/seed0", 0, 70.0)
    made("digits/kd/seed1", 1, None)  # it diverged
    made("digits/alone/seed0", 0, 60.0)
    ended = distill(
        "report", tmp_path / "digits", "--output", "tables/digits.md", "--title", "Digits", "--metric", "top1"
    )
    assert ended.code == 0
    assert ended.out.splitlines()[-3:] == ["tables/digits.md", "tables/digits.json", "tables/digits.png"]
    table = Path("tables/digits.md").read_text()
    assert table.startswith("# Digits\n\n|  | parameters | runs | test top1, best epoch |")
    assert "| kd | 1,234 | 2 | – | – | 90.00 ± 0.00 |" in table
    written = Path("tables/digits.json").read_text()
    assert [(run["row"], run["best"]) for run in json.loads(written)["runs"]] == [
        ("alone", 60.0),
        ("kd", 70.0),
        ("kd", None),
    ]
    assert str(tmp_path) not in written
    assert Path("tables/digits.png").read_bytes().startswith(b"\x89PNG")


def test_another_metric_can_be_shown(distill):
    made("kd/seed0", 0, 70.0)
    assert rows(distill("report", "kd", "--metric", "top5").out) == {"kd": ["1", "99.00"]}
    ended = distill("report", "kd", "--metric", "top55")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "no run has the test metric 'top55'\n  hint: did you mean 'top5'?\n"


def test_runs_without_the_chosen_metric_are_omitted_by_name(distill):
    share = {"test": {"share": 0.5}}
    made("a/seed0", 0, 70.0)
    made("b/seed0", 0, 0.0, best=share, last=share, selection=None)
    made("c/seed0", 0, 0.0, best=None, last=share, selection=None)
    made("d/seed0", 0, 0.0, best=None, last={}, selection=None)  # without a test
    ended = distill("report", "a", "b", "c")
    assert ended.err == (
        "the runs have different metrics: 'top1' in a/seed0, 'share' in b/seed0\n"
        "  hint: choose one with --metric, or name fewer folders\n"
    )
    ended = distill("report", ".", "--metric", "share")
    assert (ended.code, ended.err) == (0, "2 without test metric 'share', omitted: a/seed0, d/seed0\n")
    assert rows(ended.out) == {"b": ["1", "0.500"], "c": ["1", "0.500"]}
    ended = distill("report", ".", "--metric", "top5", "--json")
    assert [run["row"] for run in json.loads(ended.out)["runs"]] == ["a"]
    ended = distill("report", ".", "--metric", "shares")
    assert (ended.code, ended.err) == (1, "no run has the test metric 'shares'\n  hint: did you mean 'share'?\n")
    ended = distill("report", "d", "--metric", "share")
    assert ended.err == "no run has the test metric 'share'\n  hint: add `test:` to the experiment\n"


@pytest.mark.parametrize("name", ["x.txt", "x.HTML", "x.md.txt"])
def test_an_output_of_an_unknown_extension_is_refused(distill, name):
    made("kd/seed0", 0, 70.0)
    assert distill("report", "kd", "--output", name) == (
        2,
        "",
        f"{name} has an unknown extension\n"
        "  hint: choose from .html, .tex, .csv, .md, .json, .png; PATH without an extension writes PATH.md, PATH.json and "
        "PATH.png\n",
    )
    assert [path.name for path in Path().iterdir()] == ["kd"]


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (["absent"], "there is no folder 'absent'\n"),
        (
            ["empty", "begun"],
            "no finished run below empty, begun\n"
            "  hint: a finished run is a folder with config.resolved.yaml and results.json\n",
        ),
        (
            ["one", "other"],
            "the runs have different metrics: 'top1' in one/seed0, 'top5' in other/seed0\n"
            "  hint: choose one with --metric, or name fewer folders\n",
        ),
    ],
)
def test_what_makes_no_table_is_refused(distill, folders, message):
    made("one/seed0", 0, 70.0)
    made("other/seed0", 0, 70.0, selection={"metric": "top5", "mode": "max", "split": "val"})
    Path("empty").mkdir()
    Path("begun").mkdir()
    Path("begun/config.resolved.yaml").write_text("seed: 1\n")
    assert distill("report", *folders) == (2, "", message)


def test_runs_of_the_trainer_are_reported(toy, distill):
    distill("run", toy, "stages.0.epochs=1", "--output", "runs/toy/seed3", "--trust", "toy")
    results = json.loads(Path("runs/toy/seed3/results.json").read_text())
    line = next(line for line in distill("report", "runs").out.splitlines() if "a toy" in line)
    assert line.split()[-3] == f"{results['best']['test']['share']:.3f}"


def test_the_extension_of_the_output_chooses_the_file(toy, distill):
    distill("run", toy, "stages.0.epochs=1", "--output", "runs/<b>/seed3", "--trust", "toy")
    distill("run", toy, "stages.0.epochs=1", "seed=4", "--output", "runs/<b>/seed4", "--trust", "toy")
    for name, start in (("x.html", "<!doctype html>"), ("x.tex", "% \\usepackage"), ("x.csv", ",parameters,runs")):
        ended = distill("report", "runs", "--output", f"out/{name}")
        assert (ended.code, ended.out.splitlines()[-1]) == (0, f"out/{name}")
        assert Path("out", name).read_text().startswith(start)
    assert sorted(path.name for path in Path("out").iterdir()) == ["x.csv", "x.html", "x.tex"]
    page = Path("out/x.html").read_text()
    assert "<b>" not in page
    for text in ("Loss term kd", "Learning rate", "val share", "config.resolved.yaml (1)", "a toy, seed4"):
        assert text in page
    ended = distill("report", "runs", "--json", "--output", "out/x.csv")
    assert [run["seed"] for run in json.loads(ended.out)["runs"]] == [3, 4]
    assert ended.err == "out/x.csv\n"


def test_the_only_model_of_a_run_is_counted(distill):
    made("teacher/seed0", 0, 95.0, parameters={"teacher": 1234})
    assert rows(distill("report", "teacher").out) == {"teacher": ["1", "95.00"]}


def test_the_models_of_a_run_are_compared(toy, distill):
    distill("run", toy, "stages.0.epochs=1", "--output", "runs/toy/seed3", "--trust", "toy")
    distill("run", toy, "stages.0.epochs=1", "seed=4", "--output", "runs/toy/seed4", "--trust", "toy")
    words = ("report", "runs", "--compare-models", "--trust", "toy", "--output")
    ended = distill(*words, "out/x.html")
    assert (ended.code, ended.err) == (0, "")
    page = Path("out/x.html").read_text()
    for text in (
        "Student and teacher: a toy, seed3",
        "On the 48 samples of the split test",
        "Reliability of the teacher",
    ):
        assert page.count(text) == 2 if text.startswith("Student") else text in page
    assert "Student and teacher: a toy, seed4" not in page
    assert ">a toy, seed3: teacher</th><td>386</td>" in page  # 4·16 + 16 + 16·16 + 16 + 16·2 + 2
    results = json.loads(Path("runs/toy/seed3/results.json").read_text())
    right = round(48 * results["test"]["share"])
    both, own = (
        int(page.split(f"{name}</th><td>")[1].split("<")[0]) for name in ("both right", "only the student right")
    )
    assert both + own == right
    ended = distill(*words, "out/x.csv")
    assert ended == (2, "", "--compare-models requires an HTML report\n  hint: add --output X.html\n")


def test_runs_without_a_teacher_have_no_models_to_compare(toy, distill):
    changes = ["stages.0.epochs=1", "~models.teacher", "~stages.0.losses.kd"]
    distill("run", toy, *changes, "--output", "runs/toy/seed3", "--trust", "toy")
    ended = distill("report", "runs", "--compare-models", "--trust", "toy", "--output", "out/x.html")
    assert (ended.code, Path("out").exists()) == (2, False)
    assert ended.err.startswith("no run has a student and a teacher")


def test_without_matplotlib_all_but_the_plot_is_written(distill, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made("kd/seed0", 0, 90.0)
    ended = distill("report", "kd", "--output", "made/table")
    assert ended.code == 0
    assert ended.err == (
        "note: made/table.png is omitted: a plot needs matplotlib\n  hint: pip install 'distill-core[plot]'\n"
    )
    assert sorted(path.name for path in Path("made").iterdir()) == ["table.json", "table.md"]
    assert ended.out.splitlines()[-2:] == ["made/table.md", "made/table.json"]


def test_a_plot_that_is_asked_for_is_refused_before_anything_is_written(distill, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made("kd/seed0", 0, 90.0)
    ended = distill("report", "kd", "--output", "made/table.png")
    assert ended == (1, "", "a plot needs matplotlib\n  hint: pip install 'distill-core[plot]'\n")
    assert not Path("made").exists()
