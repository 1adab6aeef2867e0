"""Every result that the guide quotes is in a committed table that its section names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = (ROOT / "docs/concepts/which_method.md").read_text(encoding="utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("section", SECTIONS, ids=[section.partition("\n")[0] for section in SECTIONS])
def test_results_are_those_of_the_tables(section: str):
    tables = [ROOT / "benchmarks" / name for name in re.findall(r"`([a-z_/]+/results/[a-z0-9_]+\.md)`", section)]
    text = "\n".join(table.read_text(encoding="utf-8") for table in tables)
    quoted = re.findall(r"[\d.]+ ± [\d.]*\d", section)
    assert quoted
    assert [result for result in quoted if f"| {result} " not in text] == []
