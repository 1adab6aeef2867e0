"""The site has an entry for each public name, key, tag, command, method, error and message; nothing is built."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from typing import ParamSpec, TypeVar

import click
import pytest

from distill_core import experiment
from distill_core.cli._app import app
from distill_core.config import _tags
from distill_core.errors import DistillError

from .test_public_api import api

pytest.importorskip("griffe", reason="the pages are made from docstrings by griffe")


@pytest.fixture(scope="module")
def generate(root):
    """The package that writes the reference."""
    sys.path.insert(0, str(root / "docs"))
    try:
        yield importlib.import_module("generate")
    finally:
        sys.path.remove(str(root / "docs"))


@pytest.fixture(scope="module")
def pages(generate):
    return generate.reference()


def headings(page: str) -> list[str]:
    return re.findall(r"^##+ (.+)$", page, re.MULTILINE)


def described(page: str) -> dict[str, str]:
    """Term → description of the definition lists of a page."""
    return dict(re.findall(r"^`(\S+)`.*\n: (.+)$", page, re.MULTILINE))


def public_objects() -> dict[str, object]:
    names = {name: getattr(importlib.import_module(name.rpartition(".")[0]), name.rpartition(".")[2]) for name in api()}
    return {name: value for name, value in names.items() if not isinstance(value, TypeVar | ParamSpec)}


def test_each_public_name_has_an_entry(pages):
    assert len(public_objects()) > 500
    found = {f"{page[4:]}.{name}" for page, text in pages.items() if page[:4] == "api/" for name in headings(text)}
    assert sorted(set(public_objects()) - found) == []


def test_each_key_has_a_description(pages):
    classes = [value for value in vars(experiment).values() if isinstance(value, type)]
    own = [kind for kind in classes if kind.__module__ == experiment.__name__ and dataclasses.is_dataclass(kind)]
    kinds = {record.__name__: record for record in own}
    del kinds["StageProgress"]  # what schedules read, not a part of a file
    assert set(kinds) - set(headings(pages["keys"])) == set()
    for section in re.split(r"^## ", pages["keys"], flags=re.MULTILINE):
        if record := kinds.get(section.partition("\n")[0]):
            keys = described(section)
            assert [field.name for field in dataclasses.fields(record) if keys.get(field.name, "–") == "–"] == []


def test_each_tag_is_listed(pages):
    assert [tag for tag in _tags.TAGS if not re.search(rf"!{tag}\b", pages["keys"])] == []


def commands(name: str, command: click.Command) -> dict[str, click.Command]:
    """Full name → command, of a group and the groups in it."""
    if not isinstance(command, click.Group):
        return {name: command}
    context = click.Context(command)
    inner = {each: command.get_command(context, each) for each in command.list_commands(context)}
    return {k: v for each, found in inner.items() for k, v in commands(f"{name} {each}", found).items()}


def test_each_command_and_option_has_an_entry(pages):
    sections = dict(re.findall(r"^## (distill [^\n]+)\n(.*?)(?=^## |\Z)", pages["commands"], re.MULTILINE | re.DOTALL))
    found = commands("distill", app)
    assert {"distill run", "distill zoo list"} <= set(found)
    for name, command in found.items():
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        assert [option for option in options if option not in sections.get(name, "")] == [], name
        assert "\n: –" not in sections[name], name


def test_each_method_has_a_card(generate, pages):
    cards = {name: text for name, text in pages.items() if name.startswith("methods/")}
    methods = generate.methods.all_methods()
    assert len(methods) > 85
    for method in methods:
        [card] = [text for text in cards.values() if f"\n## {method.name}\n" in text]
        assert "\n## Formula\n" in card
        assert '<div class="formula">' in card
        assert re.search(r"^Use it for\n: \S.{10,}", card, re.MULTILINE), method.name
        assert re.search(r"^Where to tap\n: \S.{10,}", card, re.MULTILINE), method.name
        assert f"`{method.name}`" in pages["methods"]
        assert not method.reference.paper or f"]({method.reference.link})" in card


def test_measured_numbers_are_those_of_the_tables(root, generate):
    """Each value of a card is in a committed table."""
    tables = "".join(path.read_text(encoding="utf-8") for path in (root / "benchmarks").glob("*/results/**/*.md"))
    rows = [row for method in generate.methods.all_methods() for row in generate.results.measured(method.path)]
    assert len(rows) > 60
    assert [row for row in rows if row.value not in tables or (row.alone and row.alone not in tables)] == []


def test_each_recipe_holds_the_term_that_a_card_shows(root, generate):
    for method in generate.methods.all_methods():
        if recipes := generate.results.recipes(method.path):
            lines = generate.results.term(recipes[0], method.path).split("\n")
            source = [line.strip() for line in recipes[0].read_text(encoding="utf-8").split("\n")]
            assert [line for line in lines if line.strip() not in source] == []
            assert any(method.path in line for line in lines)


def test_each_message_of_a_file_has_an_entry(generate, pages):
    cases = generate.messages.cases()
    assert len(cases) > 100
    assert set(headings(pages["messages"])) == {case.id for case in cases}


def test_each_error_has_a_row_with_its_exit_code(root):
    page = (root / "docs/guides/troubleshooting.md").read_text(encoding="utf-8")
    rows = {name: int(code) for name, code in re.findall(r"^\| `(\w+Error)` \| (\d) \|", page, re.MULTILINE)}
    errors = {
        name.rpartition(".")[2]: value.exit_code
        for name, value in public_objects().items()
        if isinstance(value, type) and (issubclass(value, DistillError) or name == "distill_zoo.ZooError")
    }
    assert len(errors) > 7
    assert rows == errors


def test_names_on_the_written_pages_exist(root):
    """Import paths of this project, commands, and files of the benchmarks."""
    texts = {
        path: path.read_text(encoding="utf-8")
        for path in (root / "docs").glob("*/*.md")
        if path.parent.name != "reference"
    }
    assert len(texts) > 15
    known = commands("distill", app)
    for page, text in texts.items():
        for path in re.findall(r"\bdistill_(?:core|nlp|vision|zoo)(?:\.[A-Za-z]\w*)+", text):
            assert resolved(path) is not None, f"{page.name}: {path}"
        for words in re.findall(r"(?:^|`)(distill [a-z]+(?:-[a-z]+)?(?: [a-z]+\b)?)", text, re.MULTILINE):
            assert words in known or words.rpartition(" ")[0] in known, f"{page.name}: {words}"
        for file in re.findall(r"`(benchmarks/[\w./-]+)`", text):
            assert (root / file).exists(), f"{page.name}: {file}"


def resolved(path: str) -> object:
    """The object or module with a dotted path; None if there is none."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            value = getattr(value, name, None)
        return value
    return None


def test_links_lead_to_pages(root, pages):
    """Links between pages, the generated ones included."""
    docs = root / "docs"
    written = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md") if "_build" not in path.parts}
    known = written | {f"reference/{name}.md" for name in pages}
    texts = {path: (docs / path).read_text(encoding="utf-8") for path in written} | {
        f"reference/{name}.md": text for name, text in pages.items()
    }
    broken = [
        f"{page}: {target}"
        for page, text in texts.items()
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
        if (docs / page).parent.joinpath(target).resolve().relative_to(root).as_posix().removeprefix("docs/")
        not in known
        and not (docs / page).parent.joinpath(target).exists()
    ]
    assert broken == []


def test_formulas_become_scripts_and_fractions(generate):
    markup = generate.formulas.formula("    L = τ² · KL( p̂_c ‖ q ) / ( a + b ),   w_FD a word")
    assert "<msup><mi>τ</mi><mrow><mn>2</mn></mrow></msup>" in markup
    assert "<msub><mover" in markup
    assert "<mfrac><mrow><mrow><mtext>KL</mtext>" in markup
    assert "<mrow><mtext>FD</mtext></mrow></msub>" in markup
    assert "<mi>a</mi><mspace" in markup  # a variable in the denominator …
    assert " a word</span>" in markup  # … and an article
