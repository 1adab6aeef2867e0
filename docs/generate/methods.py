"""The pages of methods: a table, and a card for each file of losses, from its docstring and from the benchmarks."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from distill_core.cli.inspect._methods import LOSSES, Method
from distill_core.cli.inspect._methods import methods as in_folder

from . import results
from .docstrings import escaped, fields, first_line
from .formulas import formula

HEAD = ("Paper:", "Authors:", "Venue:", "Year:", "Link:")
TEXTS = results.TOP / "packages/distill-nlp/src/distill_nlp/losses"
SHOWN = 6
"""Most recipes that a card names."""


def all_methods() -> list[Method]:
    """Return the losses of `distill_core` and `distill_nlp`."""
    return [*in_folder(LOSSES), *in_folder(TEXTS, "distill_nlp.losses")]


def pages() -> dict[str, str]:
    """Return the pages by name: `methods`, and `methods/NAME` for each file of losses."""
    cards = {file.stem.strip("_"): classes for file, classes in _by_file()}
    ordered = dict(sorted(cards.items(), key=lambda card: card[1][0].reference.method.lower()))
    lines = [
        "# Methods",
        "Each loss is a class that a YAML file names by its import path. A card has its formula, paper, inputs, arguments, recipes and "
        "measured numbers. [Which method when](../concepts/which_method.md) compares them.",
        "| method | use it for | losses |\n|---|---|---|\n" + "\n".join(_line(*card) for card in ordered.items()),
        "```{toctree}\n:hidden:\n\n" + "\n".join(f"methods/{name}" for name in ordered) + "\n```",
    ]
    return {"methods": "\n\n".join(lines) + "\n", **{f"methods/{name}": _card(cards[name]) for name in cards}}


def _by_file() -> Iterator[tuple[Path, list[Method]]]:
    found = sorted(((_file(method.path), method) for method in all_methods()), key=lambda pair: str(pair[0]))
    for file, pairs in groupby(found, key=lambda pair: pair[0]):
        yield file, [method for _, method in pairs]


def _line(name: str, classes: Sequence[Method]) -> str:
    source = classes[0].reference
    losses = ", ".join(f"`{method.name}`" for method in classes)
    return f"| [{escaped(source.method)}](methods/{name}.md) | {escaped(source.use.rstrip('.'))} | {losses} |"


def _card(classes: Sequence[Method]) -> str:
    source = classes[0].reference
    where = " ".join(filter(None, (source.venue, source.year)))
    paper = (
        f"[{escaped(source.paper)}]({source.link}), {escaped(source.authors)}. {escaped(where)}"
        if source.paper
        else "–"
    )
    parts = [
        f"# {escaped(source.method)}",
        f"{_sentence(source.idea)}",
        f"Paper\n: {paper}",
        f"Use it for\n: {escaped(source.use)}",
        f"Where to tap\n: {escaped(source.taps)}",
        "## Formula",
        _body(_file(classes[0].path)),
        *(part for method in classes for part in _class(method)),
        *_measured(classes),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _sentence(text: str) -> str:
    return escaped(f"{text[:1].upper()}{text[1:]}.")


def _class(method: Method) -> Iterator[str]:
    loss = _load(method.path)
    yield f"## {method.name}"
    yield f"`{method.path}`, reduction scope `{method.reduction_scope}`. {escaped(first_line(loss.__doc__))}"
    yield _inputs(loss)
    yield from _table("argument", _parameters(loss.__init__), fields(inspect.getdoc(loss)))
    yield from _recipes(method.path)


def _inputs(loss: type) -> str:
    """Return a table of the inputs, or a sentence where the docstring describes all of them in one."""
    forward = loss.forward  # type: ignore[attr-defined]
    sentence = first_line(forward.__doc__).removeprefix("Return the scalar loss").lstrip(". ")
    if described := fields(inspect.getdoc(forward)):
        about = "" if sentence.startswith("of ") else escaped(sentence)
        return "\n\n".join(filter(None, [*_table("input", _parameters(forward), described), about]))
    names = [f"`{p.name}`" if p.default is p.empty else f"optionally `{p.name}`" for p in _parameters(forward)]
    return f"Inputs: {', '.join(names)}; {escaped(sentence.removeprefix('of '))}"


def _parameters(function: object) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())[1:]  # type: ignore[arg-type]
    return [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _table(title: str, named: Sequence[inspect.Parameter], described: dict[str, str]) -> Iterator[str]:
    """Yield a table of parameters: name, default, description."""
    lines = [f"| {title} | default | |", "|---|---|---|"]
    for parameter in named:
        default = "" if parameter.default is parameter.empty else f"`{parameter.default!r}`"
        text = " ".join(described.get(parameter.name, "").split())
        lines.append(f"| `{parameter.name}` | {default} | {escaped(text)} |")
    if named:
        yield "\n".join(lines)


def _recipes(path: str) -> Iterator[str]:
    found = results.recipes(path)
    if not found:
        yield "No recipe of this repository has it."
        return
    yield f"```yaml\n{results.term(found[0], path)}\n```"
    yield "The term is from the first of these recipes:"
    more = [f"* and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    yield "\n".join([*(f"* `{file.relative_to(results.TOP)}`" for file in found[:SHOWN]), *more])


def _measured(classes: Sequence[Method]) -> Iterator[str]:
    rows = list(dict.fromkeys(row for method in classes for row in results.measured(method.path)))
    yield "## Measured"
    if not rows:
        yield "No table of this repository has it."
        return
    lines = ["| table | row | metric | runs | value | labels alone |", "|---|---|---|---:|---:|---:|"]
    lines += [
        f"| {escaped(row.table)} | {escaped(row.row)} | {escaped(row.metric)} | {row.runs} | {row.value} | {row.alone or '–'} |"
        for row in rows
    ]
    yield "\n".join(lines)
    yield "Mean ± sample standard deviation over seeds. *Labels alone* is the same student without a teacher."


def _load(path: str) -> type:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def _file(path: str) -> Path:
    return Path(inspect.getfile(_load(path)))


def _body(path: Path) -> str:
    """Return the docstring of a file without its first line, its advice and the lines about the paper."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    paragraphs = "\n".join(docstring.split("\n")[1:]).strip("\n").split("\n\n")
    kept = [text for text in paragraphs if not text.startswith(("Use: ", *HEAD))]
    return "\n\n".join(formula(text) if text.startswith("    ") else escaped(text) for text in kept)
