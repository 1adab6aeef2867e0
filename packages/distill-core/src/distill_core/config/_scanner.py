"""The YAML scanner, with tags as in YAML 1.2: `[!import_get:torch.float32, 1]` is a list of two elements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

import yaml
from yaml.scanner import ScannerError
from yaml.tokens import TagToken

from ..errors import Problem
from ._problems import located, location_of, mark_at

_TAG = re.compile(r"(!<(?P<whole>[^>\s]*)>|(?P<handle>!([\w-]*!)?)(?P<name>[^\s\0,\[\]{}]*))")
_AFTER = " \n\r\0\x85\u2028\u2029"


class Scanner(yaml.SafeLoader):
    """Reads a text into events; its marks carry `name`."""

    def __init__(self, text: str, name: str) -> None:
        super().__init__(text)
        self.name = name

    def scan_tag(self) -> TagToken:
        """Read a tag; PyYAML would include a following comma or bracket, which YAML 1.2 forbids."""
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
    """Return PyYAML's error about a text that is not YAML as a problem."""
    what, hint = str(error.problem).replace("'<stream end>'", "the end of the file"), ""
    if "'\\t'" in what:
        what, hint = "a tab is not allowed here", "indent with spaces"
    elif error.context and "tag" in error.context:
        hint = "put a space after a tag: '!import_call:torch.nn.ReLU {}'"
    elif "mapping values are not allowed" in what:
        hint = "quote a string that contains ': '"
    elif error.context:
        what = f"{what}, {error.context}"
        hint = f"it begins at {location_of(error.context_mark)}" if error.context_mark else ""
    mark = error.problem_mark or error.context_mark
    return located(Problem(f"this is not YAML: {what}", hint=hint, id="syntax"), mark, sources)


def unreadable(error: yaml.reader.ReaderError, text: str, name: str) -> Problem:
    """Return the problem of a character that a YAML file must not contain."""
    before = text[: error.position]
    line = before.count("\n")
    mark = mark_at(name, line, len(before) - before.rfind("\n") - 1)
    message = f"the character U+{error.character:04X} is not allowed in a YAML file"
    return located(Problem(message, id="character-not-allowed"), mark, {})
