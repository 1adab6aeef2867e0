"""Errors are records: no code builds a hint into a message or decides by the words of an error."""

from __future__ import annotations

import ast
from collections.abc import Iterator

FORMATTERS = {
    "distill_core.errors": "formats the records",
    "distill_zoo._errors": "formats the records of the zoo, which imports no sibling",
    "distill_core.preview._stage_check": "puts a note and its hint on one line",
    "distill_core.cli._advice": "replaces advice in the message of a foreign library",
}
"""Modules that format a hint, with the reason."""

PARSERS = {
    "distill_core.train.parallel._ddp": "torch raises a RuntimeError whose text alone says that a gradient came twice",
    "distill_core.train.parallel._peer_failure": "gloo and NCCL raise a RuntimeError whose text alone names the cause",
}
"""Modules that read the text of a foreign error, with the reason."""

PARSING = {
    "partition",
    "rpartition",
    "startswith",
    "endswith",
    "find",
    "index",
    "removeprefix",
    "removesuffix",
    "replace",
}


def _bound(tree: ast.Module) -> set[str]:
    """Return the names of caught errors, and of parameters that are errors."""
    caught = {node.name for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.name}
    arguments = [node for node in ast.walk(tree) if isinstance(node, ast.arg) and node.annotation is not None]
    return caught | {item.arg for item in arguments if ast.unparse(item.annotation).endswith(("Error", "Exception"))}


def _is_text(node: ast.AST, errors: set[str]) -> bool:
    """Return whether an expression is the text of an error: `str(error)`, `error.message`, `error.args[0]`."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "str" and node.args:
        return isinstance(node.args[0], ast.Name) and node.args[0].id in errors
    inner = node.value if isinstance(node, ast.Subscript) else node
    is_field = isinstance(inner, ast.Attribute) and inner.attr in ("message", "hint", "args")
    return is_field and isinstance(inner.value, ast.Name) and inner.value.id in errors


def _chain(node: ast.AST) -> Iterator[ast.AST]:
    """Yield an expression and the values that its calls, attributes and subscripts start from."""
    while True:
        yield node
        if isinstance(node, ast.Attribute | ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return


def parsed(tree: ast.Module) -> list[int]:
    """Return the lines that read the text of an error."""
    errors, lines = _bound(tree), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parses = node.func.attr in PARSING or (node.func.attr in ("split", "rsplit") and node.args)
            operands = list(_chain(node.func.value)) if parses else []
            if ast.unparse(node.func.value) == "re":
                operands = node.args
        elif isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        else:
            continue
        lines += [node.lineno for operand in operands if _is_text(operand, errors)]
    return lines


def hinted(tree: ast.Module) -> list[int]:
    """Return the lines of strings, docstrings excepted, that contain a hint."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    strings = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.lineno for node in strings if isinstance(node.value, str) and "  hint:" in node.value]


def test_both_checks_see_what_they_look_for():
    source = """
def f(error: DistillError, text):
    "Docstring with  hint: x"
    text.partition(":")
    error.message.partition(":")
    str(error).strip().split(": ")
    try: ...
    except ValueError as reason:
        if "x" in str(reason): ...
        re.match("x", str(reason))
    raise DataError("x\\n  hint: y")
"""
    assert sorted(parsed(ast.parse(source))) == [5, 6, 9, 10]
    assert hinted(ast.parse(source)) == [11]


def test_no_message_contains_its_hint(modules):
    found = [f"{item.name}:{line}" for item in modules if item.name not in FORMATTERS for line in hinted(item.tree)]
    assert found == []


def test_no_code_parses_the_text_of_an_error(modules):
    found = {item.name: parsed(item.tree) for item in modules}
    assert {name: lines for name, lines in found.items() if lines and name not in PARSERS} == {}
    assert {name for name in PARSERS if not found.get(name)} == set()
