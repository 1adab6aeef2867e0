"""The YAML scanner, with tags as YAML 1.2 has them: `[!import_get:torch.float32, 1]` is a list of two."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import yaml
from yaml.scanner import ScannerError
from yaml.tokens import TagToken

from ..errors import Problem
from ._nodes import location_of, mark_at, problem_at

_TAG = re.compile(r"(!<(?P<whole>[^>\s]*)>|(?P<handle>!([\w-]*!)?)(?P<name>[^\s\0,\[\]{}]*))")
_AFTER = " \n\r\0\x85\u2028\u2029"


class Scanner(yaml.SafeLoader):
    """Reads a text into events; `name` is what its marks carry."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name

    def scan_tag(self) -> TagToken:
        """Read a tag; PyYAML lets it swallow a comma or bracket after it, which YAML 1.2 forbids."""
        start = self.get_mark()
        match = _TAG.match(self.buffer, self.pointer)
        if match is None:
            message = "while scanning a tag"
            raise ScannerError(message, start, "this is not a tag", start)
        self.forward(len(match[0]))
        end = self.get_mark()
        if self.peek() not in _AFTER and not (self.flow_level and self.peek() in ",]}"):
            message = "while scanning a tag"
            raise ScannerError(message, start, f"{self.peek()!r} cannot follow a tag", end)
        if match["whole"] is not None:
            return TagToken((None, unquote(match["whole"])), start, end)
        if match[0] == "!":
            return TagToken((None, "!"), start, end)
        return TagToken((match["handle"], unquote(match["name"])), start, end)


def syntax_problem(error: yaml.MarkedYAMLError, sources: Mapping[str, str]) -> Problem:
    """What PyYAML says of a text that is not YAML, in our form."""
    what, hint = str(error.problem).replace("'<stream end>'", "the end of the file"), ""
    if "'\\t'" in what:
        what, hint = "a tab cannot stand here", "indent with spaces"
    elif error.context and "tag" in error.context:
        hint = "put a space after a tag: '!import_call:torch.nn.ReLU {}'"
    elif "mapping values are not allowed" in what:
        hint = "put a text that contains ': ' in quotes"
    elif error.context:
        what = f"{what}, {error.context}"
        hint = f"it began at {location_of(error.context_mark)}" if error.context_mark else ""
    mark = error.problem_mark or error.context_mark
    return problem_at(mark, sources, f"this is not YAML: {what}", hint=hint)


def unreadable(error: yaml.reader.ReaderError, text: str, name: str) -> Problem:
    """A character that no YAML file may hold."""
    before = text[: error.position]
    line = before.count("\n")
    mark = mark_at(name, line, len(before) - before.rfind("\n") - 1)
    return problem_at(mark, {}, f"the character U+{error.character:04X} cannot stand in a YAML file")
