"""The frame of a report: one page without scripts that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ._markup import Html, element, join
from ._style import STYLE


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Attributes:
        title: Its heading.
        content: What follows the heading.
    """

    title: str
    content: Html


def page(title: str, sections: Sequence[Section], *, footer: str) -> Html:
    """Return a complete page with a table of contents; sections without content are omitted."""
    shown = [section for section in sections if section.content]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    links = [element("li", element("a", each.title, href=f"#s{n}")) for n, each in enumerate(shown)]
    body = element(
        "body",
        element("a", "Skip to the results", class_="skip", href="#main"),
        element("header", element("h1", title), element("nav", element("ul", *links), aria_label="Contents")),
        element("main", *(_section(each, f"s{n}") for n, each in enumerate(shown)), id="main", tabindex=-1),
        element("footer", element("p", footer)),
    )
    return join(Html("<!doctype html>\n"), element("html", head, body, lang="en"), Html("\n"))


def _section(section: Section, identifier: str) -> Html:
    heading = element("h2", section.title, id=f"{identifier}h")
    return element("section", heading, section.content, id=identifier, aria_labelledby=f"{identifier}h")
