"""Tables as Markdown, LaTeX and CSV, and the gap that a distilled student closes."""

from __future__ import annotations

import csv
import io
import math

import pytest

from distill_core.report import Row, gaps_closed, table, to_csv, to_latex, to_markdown

NASTY = ["a|b", "c,d", 'e"f', "g\nh", r"\input{x}", "100% & $5_#~^", "<b>"]


def row(name: str, best: float, parameters: int, teacher: int = 0, metric: str = "top1") -> Row:
    pair = (best, math.nan)
    return Row(
        name=name,
        seeds=1,
        parameters=parameters,
        best=pair,
        last=pair,
        val=pair,
        metric=metric,
        selection="",
        values=(best,),
        teacher_parameters=teacher,
    )


ALONE, TEACHER = row("alone", 60.0, 10), row("teacher", 80.0, 100)


def test_csv_reads_back() -> None:
    lines = [["", "x"], *([name, "1"] for name in NASTY)]
    assert list(csv.reader(io.StringIO(to_csv(lines), newline=""))) == lines


def test_a_cell_of_markdown_stays_one_cell() -> None:
    lines = to_markdown([["", "x"], *([name, "1"] for name in NASTY)]).splitlines()
    assert len(lines) == 2 + len(NASTY)
    assert {line.replace("\\|", "").count("|") for line in lines} == {3}


def test_latex_has_no_active_character_of_a_name() -> None:
    text = to_latex([["", "x"], *([name, "1"] for name in NASTY)])
    body = text.partition("\\midrule\n")[2].partition("\\bottomrule")[0]
    assert r"\input{" not in body
    assert [line.replace(r"\&", "").count("&") for line in body.splitlines()] == [1] * len(NASTY)
    assert r"100\% \& \$5\_\#\textasciitilde{}\textasciicircum{}" in body


@pytest.mark.parametrize(("best", "gap"), [(60.0, 0.0), (70.0, 0.5), (80.0, 1.0), (50.0, -0.5), (90.0, 1.5)])
def test_the_gap_is_measured_between_the_student_alone_and_its_teacher(best: float, gap: float) -> None:
    rows = [TEACHER, ALONE, row("kd", best, 10, teacher=100)]
    assert gaps_closed(rows)[2] == pytest.approx(gap)
    assert [line[-1] for line in table(rows)] == ["gap closed", "–", "–", f"{gap:.0%}"]


@pytest.mark.parametrize(
    "references",
    [
        [ALONE],
        [TEACHER],
        [ALONE, TEACHER, row("other", 61.0, 10)],
        [ALONE, row("teacher", 60.0, 100)],
        [row("smaller", 60.0, 9), TEACHER],
        [row("alone", 60.0, 10, metric="loss"), TEACHER],
    ],
)
def test_without_one_reference_of_each_there_is_no_gap(references: list[Row]) -> None:
    rows = [*references, row("kd", 70.0, 10, teacher=100)]
    assert all(map(math.isnan, gaps_closed(rows)))
    assert "gap closed" not in table(rows)[0]
