"""Google-style docstrings as Markdown."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from griffe import Docstring, DocstringSectionKind

TITLES = {
    DocstringSectionKind.parameters: "Arguments",
    DocstringSectionKind.attributes: "Attributes",
    DocstringSectionKind.raises: "Raises",
    DocstringSectionKind.returns: "Returns",
    DocstringSectionKind.yields: "Yields",
}
# The types are in the signature, so their absence from a docstring is not worth a warning.
logging.getLogger("griffe").setLevel(logging.ERROR)


def markdown(docstring: str | None) -> str:
    """Return a docstring as Markdown: definition lists of arguments, fenced examples."""
    if not docstring:
        return ""
    sections = Docstring(docstring).parse("google", warnings=False)
    return "\n\n".join(filter(None, map(_section, sections)))


def fields(docstring: str | None) -> dict[str, str]:
    """Return the descriptions under `Attributes:` or `Args:` by name."""
    kinds = (DocstringSectionKind.attributes, DocstringSectionKind.parameters)
    sections = Docstring(docstring or "").parse("google", warnings=False)
    return {item.name: item.description for section in sections if section.kind in kinds for item in section.value}


def first_line(docstring: str | None) -> str:
    """Return the first paragraph of a docstring in one line."""
    return " ".join((docstring or "").strip().partition("\n\n")[0].split())


def _section(section: object) -> str:
    kind, value = section.kind, section.value  # type: ignore[attr-defined]
    if kind is DocstringSectionKind.text:
        return fenced(value)
    if kind is DocstringSectionKind.examples:
        return fenced("\n\n".join(text for _, text in value))
    if kind in TITLES:
        return f"**{TITLES[kind]}**\n\n" + "\n\n".join(map(_item, value))
    return fenced(str(getattr(value, "contents", value)))


def _item(item: object) -> str:
    name = getattr(item, "name", "") or getattr(item, "annotation", "") or ""
    text = "\n".join(f"  {line}" if line else "" for line in fenced(item.description).split("\n"))  # type: ignore[attr-defined]
    return f"`{name}`\n: {text.strip()}" if name else f"- {text.strip()}"


def fenced(text: str) -> str:
    """Return a text with its interactive examples in fences, and nothing that Markdown would read as a link."""
    return "\n\n".join(_blocks(text.strip("\n").split("\n\n")))


def _blocks(blocks: Iterable[str]) -> Iterable[str]:
    for block in blocks:
        if block.lstrip().startswith(">>>"):
            yield f"```python\n{block}\n```"
        elif block.startswith("    "):
            yield "```text\n" + block.rstrip() + "\n```"
        else:
            yield escaped(block)


def escaped(text: str) -> str:
    """Return a text in which brackets, dollars and angles outside of code are taken literally."""
    pieces = re.split(r"(`+[^`]*`+)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([\[\]$<>*_{}|])", r"\\\1", p) for p in pieces)
