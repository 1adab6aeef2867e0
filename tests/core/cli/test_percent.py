"""Fractions are stored as fractions and printed in percent: logs, tables, reports."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from distill_core.experiment import Evaluation, Metric

TRUST = ("--trust", "toy")


@pytest.fixture
def run(toy, distill):
    """Return what `distill run` printed, with a metric that declares `percent`."""
    with Path("toy.py").open("a", encoding="utf-8") as file:
        file.write("\nShare.percent = True\n")
    ended = distill("run", toy, "stages.0.epochs=1", "--output", "row/seed3", *TRUST)
    assert ended.code == 0, ended.err
    return ended


def test_files_hold_fractions_and_name_the_metrics(run):
    results = json.loads(Path("row/seed3/results.json").read_text())
    assert results["percent"] == ["share"]
    assert 0 < results["test"]["share"] < 1
    records = [json.loads(line) for line in Path("row/seed3/metrics.jsonl").read_text().splitlines()]
    (measured,) = [record for record in records if record["split"] == "val"]
    assert measured["metrics"] == results["best"]["val"]
    assert measured["percent"] == ["share"]


def test_people_read_percent(run, distill):
    best = json.loads(Path("row/seed3/results.json").read_text())["best"]
    val, test = (f"{100 * best[split]['share']:.2f}" for split in ("val", "test"))
    assert f"· val · share {val}%\n" in run.err
    assert re.search(rf"\n +best \(max share on val\) +1 +{val}% +{test}%", run.out)
    assert re.search(rf"{val}% +{test}%", distill("evaluate", "row/seed3", *TRUST).out)
    report = distill("report", "row")
    assert "test share (%)" in report.out
    assert re.search(rf" 1 +{test} +{test} +{val} *\n", report.out)


def test_a_metric_of_several_values_names_those_that_are_fractions():
    class Two:
        percent = ("f1",)

    class All:
        percent = True

    metrics = {"glue": Two(), "coco": All(), "loss": object(), "coconut": object()}
    evaluation = Evaluation(loader=None, metrics={name: Metric(metric=m, inputs={}) for name, m in metrics.items()})
    names = ["glue.f1", "glue.matthews", "coco.AP", "coco", "loss", "coconut", "coconut.AP"]
    assert evaluation.percent(names) == ["glue.f1", "coco.AP", "coco"]
