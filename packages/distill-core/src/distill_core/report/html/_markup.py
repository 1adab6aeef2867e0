"""Elements of HTML and SVG from plain strings, which are escaped."""

from __future__ import annotations

import html
import re

VOID = frozenset({"br", "img", "meta"})
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str | float | bool | None) -> Html:
    """Return an element. Children that are not `Html` are escaped, and so are the values of attributes.

    Args:
        name: Name of the element.
        children: Its content.
        attributes: `class_` is `class`, other underscores become hyphens. True is an attribute without a value; False
            and None are omitted.

    >>> element("a", "<b> & c", element("br"), class_="x", href='"#"', aria_label=None)
    '<a class="x" href="&quot;#&quot;">&lt;b&gt; &amp; c<br></a>'
    """
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    start = f"<{name}{written}>"
    return Html(start if name in VOID else f"{start}{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Return the children one after another; those that are not `Html` are escaped."""
    return Html("".join(child if isinstance(child, Html) else _escape(child) for child in children))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{_escape(value)}"'


def _escape(value: str | float) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return html.escape(CONTROL.sub("\N{REPLACEMENT CHARACTER}", text))
