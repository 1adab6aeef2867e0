"""The style guide as a test: phrases that read as translated, and how a function's docstring begins."""

from __future__ import annotations

import ast
import re

import pytest

# phrase → what to write instead
INSTEAD = {
    r"\b(?:it|that|this|which|file|class|number|model|value|text|list) is no \b": "is not a …",
    r"(?<!there )(?<!There )\b(?:are|is) no (?:multiple|module|number|file|loss|model|text|mapping)\b": "is not a …",
    r"\bleft out\b": "omitted",
    r"\bleaves? out\b": "omits",
    r"\b(?:is|are) told\b": "receives, is passed",
    r"\btells? (?:how|that|what|where|whether|which)\b": "reports, logs, describes",
    r"\bso many (?:samples|steps|bytes|batches|seconds|lines|times)\b": "number of …",
    r"\b(?:all|known|by|its|own) chance\b": "randomness, at random",
    r"\bchance (?:follows|is|of a)\b": "randomness",
    r"\bfor programs\b": "Print JSON.",
    r"\bwhat is whole\b": "complete",
    r"\bat hand\b": "current",
    r"\bthat which\b": "what",
    r"\bcomes to new weights\b": "updates the weights",
    r"\bon the way\b": "during training",
    r"\b(?:is|are) silent\b": "omits",
    r"\bslip of\b": "typo",
    r"\bhung into\b": "attached",
    r"\bgoes on with\b": "continues with",
    r"\bstands? (?:in|at) (?:the|a|its|their|line)\b": "is in, is at",
    r"\band the like\b": "and similar",
}
# A property says what it is; a function what it does.
NOT_FIRST = {"What", "How", "That", "Whether", "Where", "Which", "When", "All", "So", "Those", "Who"}
PROPERTIES = {"property", "cached_property", "setter"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".sh"}
EXEMPT = {"tests/architecture/test_english.py", "CHANGELOG.md"}


def lines_of(text: str) -> list[str]:
    """Return the lines of a text, each with the beginning of the next, where a phrase may continue."""
    lines = text.split("\n")
    following = [*lines[1:], ""]
    return [f"{line} {after.strip(' #')[:24]}" for line, after in zip(lines, following, strict=True)]


@pytest.mark.parametrize("phrase", INSTEAD)
def test_no_text_reads_as_translated(root, tracked, phrase):
    found = [
        f"{name}:{number}: {match[0]!r}: write {INSTEAD[phrase]!r}"
        for path in tracked
        if path.suffix in TEXT and (name := path.relative_to(root).as_posix()) not in EXEMPT
        for number, line in enumerate(lines_of(path.read_text(encoding="utf-8")), 1)
        if (match := re.search(phrase, line, re.IGNORECASE))
    ]
    assert found == []


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = [each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in node.decorator_list]
    return not PROPERTIES.isdisjoint(names)


def test_the_docstring_of_a_function_begins_with_a_verb(modules):
    found = [
        f"{module.path}:{node.lineno}: {first}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTIONS) and not is_property(node)
        if (docstring := ast.get_docstring(node)) and (first := re.split(r"\W", docstring, maxsplit=1)[0]) in NOT_FIRST
    ]
    assert found == []
