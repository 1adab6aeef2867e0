"""`distill compare`: what differs between runs, read from their folders alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

CONFIG = """\
seed: {seed}
models:
  student: !import_call:absent.Net {{width: 4}}
data:
  val: &val !import_call:absent.points {{split: val, size: {size}}}
stages:
  - epochs: 9
    scheduler: !import_partial:absent.Steps {{milestones: [2, {step}]}}
test: {{loader: *val}}
"""
RESULTS: dict[str, Any] = {
    "best": {"stage": 0, "epoch": 3, "val": {"top1": 90.0}, "test": {"top1": 80.5}},
    "last": {"stage": 0, "epoch": 9, "val": {"top1": 85.0}, "test": {"top1": None}},
    "seconds": 2.5,
    "parameters": {"student": 1234},
}


def made(
    name: str, config: str, *, torch: str = "2.11", results: dict[str, Any] | None = None, lines: str = ""
) -> Path:
    """The folder of a run, in the current one."""
    folder = Path(name)
    folder.mkdir()
    (folder / "config.resolved.yaml").write_text(config)
    packages = {"packages": {"torch": torch, "numpy": "2.0"}, "git": None}
    (folder / "environment.json").write_text(json.dumps(packages))
    if results:
        (folder / "results.json").write_text(json.dumps(results))
    if lines:
        (folder / "metrics.jsonl").write_text(lines)
    return folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def cells(text: str) -> list[list[str]]:
    """The lines of tables, each as its columns."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" ─")]
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_the_keys_that_differ_stand_at_every_place_that_an_alias_leads_to(distill):
    first = made("a", CONFIG.format(seed=0, size=8, step=5), results=RESULTS)
    second = made("b", CONFIG.format(seed=0, size=9, step=6), torch="2.12", results=RESULTS)
    ended = distill("compare", first, second)
    assert (ended.code, ended.err) == (0, "")
    assert cells(ended.out) == [
        ["run 1: a, finished"],
        ["run 2: b, finished"],
        ["config.resolved.yaml", "run 1", "run 2"],
        ["data.val.size", "8", "9"],
        ["stages.0.scheduler.milestones", "[2, 5]", "[2, 6]"],
        ["test.loader.size", "8", "9"],
        ["environment.json", "run 1", "run 2"],
        ["packages.torch", "2.11", "2.12"],
        ["results", "run 1", "run 2"],
        ["test top1, best epoch", "80.50", "80.50"],
        ["test top1, last epoch", "–", "–"],
        ["val top1, best epoch", "90.00", "90.00"],
        ["val top1, last epoch", "85.00", "85.00"],
        ["best epoch", "3", "3"],
        ["last epoch", "9", "9"],
        ["parameters of student", "1,234", "1,234"],
        ["seconds", "2.5000", "2.5000"],
    ]


def test_what_only_one_of_three_has_is_missing_in_the_others(distill):
    texts = ["seed: 1\n", "seed: 1.0\nteacher: !import_call:absent.Net {}\n", "seed: '1'\nteacher: null\n_x: 3\n"]
    folders = [made(name, text) for name, text in zip("abc", texts, strict=True)]
    assert cells(distill("compare", *folders).out)[3:] == [
        ["no difference in environment.json"],
        ["config.resolved.yaml", "run 1", "run 2", "run 3"],
        ["seed", "1", "1.0", "'1'"],
        ["teacher", "–", "!import_call:absent.Net", "null"],
    ]


def test_the_same_written_in_another_way_is_no_difference_and_that_is_one_line(distill):
    inline = CONFIG.format(seed="3", size=8, step=5).replace(
        "*val", "!import_call:absent.points {split: 'val', size: 8}"
    )
    first, second = made("a", inline), made("b", CONFIG.format(seed="0x3", size=8, step=5))
    assert distill("compare", first, second).out.splitlines()[2:] == [
        "no difference in config.resolved.yaml and environment.json"
    ]


@pytest.mark.parametrize(
    ("lines", "state"),
    [
        ('{"stage": 0, "epoch": 1, "step": 4}\n', "stage 1, epoch 1 of 9, step 4"),
        ('{"stage": 1, "epoch": 2, "step": 7}\n{"stage": 1, "epoch": 3, "st', "stage 2, epoch 2 of 9, step 7"),
        ("", "nothing is logged yet"),
    ],
)
def test_the_log_tells_how_far_an_unfinished_run_is(distill, lines, state):
    config = CONFIG.format(seed=0, size=8, step=5) + "\n"
    first, second = made("a", config, lines=lines), made("b", config, results=RESULTS)
    (first / "environment.json").unlink()
    ended = distill("compare", first, second)
    assert ended.out.splitlines()[0] == f"run 1: a, not finished: {state}, no environment.json"
    assert ended.out.splitlines()[2] == "no difference in config.resolved.yaml"
    assert ["test top1, best epoch", "–", "80.50"] in cells(ended.out)


def test_for_programs_a_key_that_is_missing_is_not_the_same_as_null(distill):
    first = made("a", "seed: 1\nx: null\n", results=RESULTS)
    second = made("b", "seed: 1\nlimit: .inf\n", torch="2.12", lines='{"stage": 0, "epoch": 1, "step": 4}\n')
    compared = json.loads(distill("compare", first, second, "--json").out, parse_constant=pytest.fail)
    assert compared == {
        "runs": [
            {"folder": "a", "finished": True, "last": None, "results": RESULTS},
            {"folder": "b", "finished": False, "last": {"stage": 0, "epoch": 1, "step": 4}, "results": None},
        ],
        "config": {"x": {"a": None}, "limit": {"b": ".inf"}},
        "environment": {"packages.torch": {"a": "2.11", "b": "2.12"}},
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "a comparison requires two or more different runs\n  hint: name the folder of each run once\n"),
        (["a", "./a"], "a comparison requires two or more different runs\n  hint: name the folder of each run once\n"),
        (["a", "b"], "b is not the folder of a run: it has no config.resolved.yaml\n"),
    ],
)
def test_what_cannot_be_compared_is_refused(distill, words, message):
    made("a", "seed: 1\n")
    assert distill("compare", *words) == (2, "", message)


def test_real_runs_are_compared_without_torch(toy, distill, python):
    for seed in (0, 1):
        distill("run", toy, "stages.0.epochs=1", f"seed={seed}", "--output", f"seed{seed}", "--trust", "toy")
    done = python("""
import sys
sys.argv = ["distill", "compare", "seed0", "seed1", "--json"]
from distill_core.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
assert not {"torch", "toy"} & set(sys.modules)
""")
    compared = json.loads(done.stdout)
    assert compared["config"] == {"seed": {"seed0": 0, "seed1": 1}}
    assert compared["environment"] == {}
    assert [run["results"] for run in compared["runs"]] == [
        json.loads(Path(f"seed{seed}/results.json").read_text()) for seed in (0, 1)
    ]
    assert [run["last"]["epoch"] for run in compared["runs"]] == [1, 1]
