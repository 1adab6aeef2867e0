"""The HTML report: well-formed, self-contained, escaped, and drawn at the right places."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from html.parser import HTMLParser
from typing import Any

import pytest

from distill_core.report import Row
from distill_core.report.html import ReportRun, Section, Series, element, heat_map, html_report, line_chart

VOID = {"br", "img", "meta"}
ATTACKS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title>&lt;",
    "a\x00b\ud800",
    "' onload='x",
]


class Tree(HTMLParser):
    """Elements with their attributes and text; raises if a tag is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} is there twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, tag: str) -> list[str]:
        return [data for name, data in self.texts if name == tag]


def row(name: str) -> Row:
    pair = (0.9, 0.01)
    return Row(
        name=name, seeds=2, parameters=10, best=pair, last=pair, val=pair, metric=name, selection=name, values=()
    )


def records(name: str, offset: float = 0.0) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for step in range(1, 5):
        position = {"stage": 0, "epoch": step, "step": 10 * step}
        losses = {name: 1 / step + offset, "ce": None}
        lines.append({**position, "split": "train", "loss": 2 / step + offset, "losses": losses, "lr": 0.1 / step})
        lines.append({**position, "split": "val", "metrics": {name: 0.2 * step}, "percent": [name]})
    return lines


def report(name: str) -> str:
    runs = [ReportRun(f"{name}{n}", f"{name}{n}, seed 0", records(name, n), (b"\x89PNG",)) for n in range(9)]
    differences = [(name, [["key", name], [name, name]])]
    section = Section(name, heat_map(name, [name], [name], [[1.0]], corner=name))
    return html_report(name, [row(name)], runs, differences=differences, sections=[section])


@pytest.mark.parametrize("name", ["kd", *ATTACKS])
def test_names_cannot_break_the_page(name: str) -> None:
    text = report(name)
    tree, plain = Tree(text), Tree(report("kd"))
    assert [tag for tag, _ in tree.elements] == [tag for tag, _ in plain.elements]
    assert [set(attributes) for _, attributes in tree.elements] == [set(attributes) for _, attributes in plain.elements]
    assert not re.search("[\x00-\x08\ud800-\udfff]", text)
    text.encode()


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = report("kd")
    assert re.findall(r"https?:|//|@import|url\(|<script|<link|<iframe|\bon\w+=", text.replace("</", "")) == []
    sources = [each["src"] or "" for each in Tree(text).all("img")]
    assert len(sources) == 9
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_a_keyboard_and_a_screen_reader_find_everything() -> None:
    tree = Tree(report("kd"))
    identifiers = [attributes["id"] for _, attributes in tree.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert [each["href"] for each in tree.all("a") if (each["href"] or "")[1:] not in identifiers] == []
    assert tree.elements[[tag for tag, _ in tree.elements].index("body") + 1][1]["href"] == "#main"
    levels = [int(tag[1]) for tag, _ in tree.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    drawings = [each for each in tree.all("svg") if each.get("aria-hidden") != "true"]
    assert len(drawings) == 4
    assert all(each["role"] == "img" and each["aria-label"] for each in drawings)
    assert all(each["alt"] for each in tree.all("img"))
    assert all(each.get("scope") in {"row", "col"} for each in tree.all("th"))
    assert len(tree.all("details")) == len(tree.all("summary"))


def test_the_charts_are_those_of_the_log() -> None:
    tree = Tree(report("kd"))
    assert tree.text("figcaption") == ["Training loss", "Loss term kd", "Learning rate", "val kd"]
    described = [each["aria-label"] or "" for each in tree.all("svg") if each.get("role")]
    assert "kd0: 2 at step 10, 0.5 at 40." in described[0]
    assert "kd3: 20 at epoch 1, 80 at 4." in described[3]


def test_a_line_goes_through_its_points() -> None:
    """The chart's area is 458 − 58 wide and 238 − 10 high; the axes end at the round numbers around the data."""
    chart = line_chart(
        "t", [Series("a", 0, [[(0, 0.0), (5, 50.0), (10, math.nan), (10, 100.0)]])], x_label="x", y_label="y"
    )
    path = next(each["d"] for each in Tree(chart).all("path") if each["class"] == "line c0")
    assert path == "M58.0 238.0L258.0 124.0L458.0 10.0"


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_chart_without_numbers_is_omitted(value: float | None) -> None:
    lines = [{"stage": 0, "epoch": 1, "step": 1, "split": "train", "loss": value}]
    assert "<figure" not in html_report("t", [row("kd")], [ReportRun("kd", "kd", lines)])


def test_several_evaluations_in_an_epoch_are_drawn_by_step() -> None:
    lines = [{"stage": 0, "epoch": 1, "step": step, "split": "val", "metrics": {"a": step / 10}} for step in (5, 10)]
    assert "0.5 at step 5, 1 at 10." in html_report("t", [row("kd")], [ReportRun("kd", "kd", lines)])


def test_a_long_line_is_thinned_and_keeps_its_extremes() -> None:
    points = [(float(x), 1000.0 if x == 4321 else -7.0 if x == 77 else 0.0) for x in range(10_000)]
    chart = line_chart("t", [Series("a", 0, [points])], x_label="x", y_label="y")
    path = next(each["d"] or "" for each in Tree(chart).all("path") if each["class"] == "line c0")
    heights = [float(pair.split()[1]) for pair in path[1:].split("L")]
    assert len(heights) < 600
    flat = statistics.median(heights)
    assert sum(height < flat for height in heights) == 1
    assert sum(height > flat for height in heights) == 1


def test_attributes_are_written_as_given() -> None:
    assert (
        element("p", "a", class_="x", hidden=True, id=None, viewBox="0 0") == '<p class="x" hidden viewBox="0 0">a</p>'
    )


def test_each_stage_is_a_line_and_percent_end_at_100() -> None:
    lines = [
        {"stage": stage, "epoch": 1, "step": 10 * stage + step, "split": split, **values}
        for stage in (0, 1)
        for step in (1, 2)
        for split, values in (
            ("train", {"loss": 9.0 - stage}),
            ("val", {"metrics": {"top1": 1.0}, "percent": ["top1"]}),
        )
    ]
    tree = Tree(html_report("t", [row("kd")], [ReportRun("kd", "kd", lines)]))
    described = [each["aria-label"] or "" for each in tree.all("svg") if each.get("role")]
    assert "kd, line 1: 9 at step 1, 9 at 2. kd, line 2: 8 at step 11, 8 at 12." in described[0]
    numbers = [float(text) for text in tree.text("text") if re.fullmatch(r"[\d.]+", text)]
    assert max(numbers) == 100
