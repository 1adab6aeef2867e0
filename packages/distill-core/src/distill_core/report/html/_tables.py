"""Tables of a page, each with its text as Markdown, LaTeX and CSV to copy."""

from __future__ import annotations

from collections.abc import Sequence

from .._formats import Lines, to_csv, to_latex, to_markdown
from ._heat_map import scrollable
from ._markup import Html, element, join


def data_table(caption: str, lines: Lines) -> Html:
    """Return a table. The first line holds the titles of the columns, and the first cell of each line its name.

    Args:
        caption: Its caption.
        lines: Its cells.
    """
    heads, *body = lines
    rows = [
        element("tr", element("th", line[0], scope="row"), *(element("td", cell) for cell in line[1:])) for line in body
    ]
    grid = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *rows),
    )
    return scrollable(caption, grid)


def copyable(caption: str, lines: Lines) -> Html:
    """Return a table followed by its text in three formats."""
    texts = {"Markdown": to_markdown(lines), "LaTeX": to_latex(lines, caption), "CSV": to_csv(lines)}
    return join(data_table(caption, lines), *(_details(f"Copy as {name}", text) for name, text in texts.items()))


def fold(summary: str, *content: str) -> Html:
    """Return content that is shown on request."""
    return element("details", element("summary", summary), *content)


def _details(summary: str, text: str) -> Html:
    return fold(summary, element("pre", text, tabindex=0))


def paragraphs(texts: Sequence[str]) -> Html:
    """Return a paragraph for each text."""
    return join(*(element("p", text) for text in texts))
