"""A matrix as coloured cells with numbers, an HTML table that a screen reader reads as one."""

from __future__ import annotations

from collections.abc import Sequence

from ._markup import Html, element

OPACITY = 0.6
"""Opacity of the greatest value, at which the text is legible on light and on dark paper."""


def heat_map(
    caption: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float]],
    *,
    corner: str = "",
    digits: int = 2,
) -> Html:
    """Return a table whose cells are blue for positive and vermilion for negative numbers, darker for larger ones.

    Args:
        caption: Its caption.
        rows: Names of the rows.
        columns: Names of the columns.
        values: The numbers, row by row.
        corner: What rows and columns are.
        digits: Number of digits after the point.
    """
    greatest = max((abs(value) for row in values for value in row), default=0.0) or 1.0
    heads = [element("th", corner, scope="col"), *(element("th", name, scope="col") for name in columns)]
    body = [
        element("tr", element("th", name, scope="row"), *(_cell(value, greatest, digits) for value in row))
        for name, row in zip(rows, values, strict=True)
    ]
    grid = element(
        "table", element("caption", caption), element("thead", element("tr", *heads)), element("tbody", *body)
    )
    return scrollable(caption, element("div", grid, class_="heat"))


def scrollable(name: str, content: Html) -> Html:
    """Return content that scrolls sideways on a narrow screen, also with the keyboard."""
    return element("div", content, class_="scroll", tabindex=0, role="region", aria_label=name)


def _cell(value: float, greatest: float, digits: int) -> Html:
    share = abs(value) / greatest
    colour = "213 94 0" if value < 0 else "0 114 178"
    style = f"background:rgb({colour} / {OPACITY * share:.2f})"
    return element("td", f"{value:.{digits}f}", style=style)
