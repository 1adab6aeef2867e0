"""Every result that the guide quotes is in a committed table that its section names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES, TEXTS = "image_classification/results", "text_classification/results"
SECTIONS = (ROOT / "docs/concepts/which_method.md").read_text(encoding="utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("section", SECTIONS, ids=[section.partition("\n")[0] for section in SECTIONS])
def test_results_are_those_of_the_tables(section: str):
    tables = [ROOT / "benchmarks" / name for name in re.findall(r"`([a-z_]+/[a-z0-9_/]+\.md)`", section)]
    text = "\n".join(table.read_text(encoding="utf-8") for table in tables)
    quoted = re.findall(r"[\d.]+ ± [\d.]*\d", section)
    assert quoted
    assert [result for result in quoted if f"| {result} " not in text] == []


def rows(table: str) -> dict[str, tuple[float, float]]:
    """Return the mean and deviation on the test split of each row."""
    text = (ROOT / "benchmarks" / table).read_text(encoding="utf-8")
    found = re.findall(r"^\| ([^|]+) \| [\d,]+ \| \d+ \| ([\d.]+) ± ([\d.]+) ", text, re.MULTILINE)
    return {name: (float(mean), float(deviation)) for name, mean, deviation in found}


def test_the_methods_above_kd_are_those_that_the_guide_lists():
    methods = {name.partition(" (")[0]: row for name, row in rows(f"{IMAGES}/digits_methods.md").items()}
    mean, deviation = methods.pop("KD as published")
    above = {name for name, (other, _) in methods.items() if other > mean}
    (listed,) = re.findall(r"These have higher means: (.*?\))\. ", " ".join(SECTIONS).replace("\n  ", " "))
    assert above == {*re.findall(r"([A-Z][\w-]+) \(", listed), "SimKD"}  # SimKD is in the next statement
    assert [name for name in above if methods[name][0] - mean > methods[name][1] + deviation] == []


@pytest.mark.parametrize("table", [f"{IMAGES}/digits.md", f"{IMAGES}/fashion_mnist.md", f"{TEXTS}/sst2.md"])
def test_unlabelled_data_is_the_greatest_improvement(table: str):
    students = {name: mean for name, (mean, _) in rows(table).items() if not name.startswith("the teacher")}
    assert len(students) == 3
    assert max(students, key=lambda name: students[name]).endswith("no labels")


def test_on_cifar100_three_methods_of_logits_are_above_kd_and_all_above_no_teacher():
    text = (ROOT / "benchmarks" / IMAGES / "cifar100_public/table.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| ([^|]+) \| 3 \| ([\d.]+) ± ([\d.]+) ", text, re.MULTILINE)
    results = {name.partition(" (")[0]: (float(mean), float(deviation)) for name, mean, deviation in found}

    def is_above(name: str, other: str) -> bool:
        (high, one), (low, two) = results[name], results[other]
        return high - one > low + two

    assert len(results) == 7
    assert {name for name in results if is_above(name, "no teacher")} == results.keys() - {"no teacher"}
    assert {name for name in results if is_above(name, "KD")} == {"WTTM", "DKD", "KD + logit standardisation"}
