"""Charts of lines as SVG, without scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ._axes import Point, describe, thinned, ticks
from ._markup import Html, element, join

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 10, 42
NUM_COLOURS = 7
DASHES = (None, "7 3", "2 3", "10 3 2 3")


@dataclass(frozen=True)
class Series:
    """The lines of one colour: one for each seed of a row and each stage, for example.

    Attributes:
        name: Its name in the legend.
        index: Number of its colour; from the eighth on, lines are dashed.
        lines: The points of each line; values that are not finite are gaps.
    """

    name: str
    index: int
    lines: Sequence[Sequence[Point]]

    def style(self) -> dict[str, str | None]:
        """Return the attributes of its lines."""
        return {
            "class_": f"line c{self.index % NUM_COLOURS}",
            "stroke_dasharray": DASHES[self.index // NUM_COLOURS % len(DASHES)],
        }


@dataclass(frozen=True)
class Scale:
    """The map from values to pixels of one axis."""

    marks: Sequence[float]
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value, in pixels with one digit."""
        share = (value - self.marks[0]) / (self.marks[-1] - self.marks[0])
        return round(self.start + share * (self.end - self.start), 1)


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    bounds: tuple[float, float] | None = None,
) -> Html:
    """Return a figure with a chart and its legend; an empty string without any finite value.

    Args:
        title: Its caption.
        series: The lines.
        x_label: Name of the axis across.
        y_label: Name of the axis up.
        bounds: The least and the greatest possible value, which the axis up does not exceed.
    """
    drawn = [Series(each.name, each.index, [_finite(line) for line in each.lines]) for each in series]
    points = [point for each in drawn for line in each.lines for point in line]
    if not points:
        return Html("")
    xs, ys = zip(*points, strict=True)
    across = Scale(ticks(min(xs), max(xs)), LEFT, WIDTH - RIGHT)
    within = bounds is not None and bounds[0] <= min(ys) <= max(ys) <= bounds[1]
    up = Scale(ticks(min(ys), max(ys), bounds=bounds if within else None), HEIGHT - BOTTOM, TOP)
    lines = [_line(each, line, across, up) for each in drawn for line in each.lines if line]
    return figure(
        title, join(frame(across, up, x_label, y_label), *lines), description=_described(drawn, x_label), legend=drawn
    )


def figure(title: str, drawing: Html, *, description: str, legend: Sequence[Series] = ()) -> Html:
    """Return a drawing of 480 × 280 units as a figure with a caption, a text alternative and a legend."""
    picture = element(
        "svg",
        element("title", title),
        element("desc", description),
        drawing,
        role="img",
        aria_label=f"{title}. {description}",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
    )
    return element("figure", element("figcaption", title), picture, _legend(legend))


def frame(across: Scale, up: Scale, x_label: str, y_label: str) -> Html:
    """Return the grid, the numbers and the names of the axes."""
    grid = [element("path", class_="grid", d=f"M{LEFT} {up(mark)}H{WIDTH - RIGHT}") for mark in up.marks]
    rows = [
        element("text", describe(mark), class_="tick", x=LEFT - 6, y=up(mark) + 4, text_anchor="end")
        for mark in up.marks
    ]
    columns = [
        element("text", describe(mark), class_="tick", x=across(mark), y=HEIGHT - BOTTOM + 16, text_anchor="middle")
        for mark in across.marks
    ]
    middle = (HEIGHT - BOTTOM + TOP) / 2
    names = [
        element("text", x_label, class_="axis", x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text_anchor="middle"),
        element(
            "text", y_label, class_="axis", x=12, y=middle, text_anchor="middle", transform=f"rotate(-90 12 {middle})"
        ),
    ]
    return join(*grid, *rows, *columns, *names)


def _line(series: Series, line: Sequence[Point], across: Scale, up: Scale) -> Html:
    if len(line) == 1:
        style = series.style()["class_"] or ""
        return element("circle", class_=style.replace("line", "dot"), cx=across(line[0][0]), cy=up(line[0][1]), r=4)
    path = "L".join(f"{across(x)} {up(y)}" for x, y in thinned(line))
    return element("path", d=f"M{path}", **series.style())


def _finite(line: Sequence[Point]) -> list[Point]:
    return [(x, y) for x, y in line if math.isfinite(x) and math.isfinite(y)]


def _described(series: Sequence[Series], x_label: str) -> str:
    """Return where each line starts and ends: the text alternative of a chart."""
    texts = []
    for each in series:
        for number, line in enumerate(each.lines):
            if line:
                name = each.name if len(each.lines) == 1 else f"{each.name}, line {number + 1}"
                (x0, y0), (x1, y1) = line[0], line[-1]
                texts.append(f"{name}: {describe(y0)} at {x_label} {describe(x0)}, {describe(y1)} at {describe(x1)}.")
    return " ".join(texts)


def _legend(series: Sequence[Series]) -> Html:
    if not series:
        return Html("")
    entries = [
        element(
            "li",
            element(
                "svg",
                element("path", d="M0 5H26", **each.style()),
                viewBox="0 0 26 10",
                width=26,
                height=10,
                aria_hidden="true",
            ),
            each.name,
        )
        for each in series
    ]
    return element("ul", *entries, class_="legend")
