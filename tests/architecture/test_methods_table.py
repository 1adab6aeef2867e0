"""The table of methods in distill-core's README is that of the docstrings."""

from __future__ import annotations

import re
from pathlib import Path

from distill_core.cli.inspect._list import markdown
from distill_core.cli.inspect._methods import methods

COMMAND = "hatch run test:python tests/architecture/test_methods_table.py"
README = Path(__file__).resolve().parents[2] / "packages/distill-core/README.md"
BEGIN, END = "<!-- methods: begin -->\n", "<!-- methods: end -->\n"

NO_PAPER = {"AdaptedLoss", "ReportedLoss", "TokenCELoss"}  # what a model says itself, and the labels of sequences


def renewed(text: str) -> str:
    """The README with the table between its marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{markdown(methods())}{END}{after}"


def test_the_table_is_up_to_date():
    text = README.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text == renewed(text), COMMAND


def test_each_method_has_a_line_with_its_paper():
    lines = {line.split("`")[1]: line for line in markdown(methods()).splitlines() if "Loss`" in line}
    assert "[Distilling the Knowledge in a Neural Network](https://arxiv.org/abs/1503.02531)" in lines["KDLoss"]
    assert [name for name, line in lines.items() if "](https://" not in line and name not in NO_PAPER] == []


def test_differences_name_existing_losses():
    text = README.read_text(encoding="utf-8").partition(END)[2].partition("| loss | here |")[2]
    named = re.findall(r"`(\w+Loss)`", text.partition("\n\n")[0])
    assert len(named) > 10
    assert set(named) <= {method.name for method in methods()}


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{len(methods())} losses written to {README}")
