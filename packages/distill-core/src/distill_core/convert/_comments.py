"""The comments of the old file, by the line that they belong to."""

from __future__ import annotations

import re

_COMMENT = re.compile(r"""^(?P<before>(?:[^'"#]|'[^']*'|"[^"]*"|(?<=\S)#)*?)(?:(?<=\s)|^)#\s?(?P<text>.*)$""")


class Comments:
    """Comments that are taken at most once; a comment of several lines belongs to the line after it.

    Args:
        text: The text of the file.
    """

    def __init__(self, text: str) -> None:
        self.header: list[str] = []
        self._by_line: dict[int, list[str]] = {}
        above: list[str] = []
        is_header = True
        for number, line in enumerate(text.splitlines(), start=1):
            found = _COMMENT.match(line)
            if found and not found["before"].strip():
                above.append(found["text"].rstrip())
            elif found or line.strip():
                here = [*above, *([found["text"].rstrip()] if found else [])]
                if here:
                    self._by_line[number] = here
                above, is_header = [], False
            elif is_header:
                self.header, above = [*self.header, *above], []
        if above:
            self._by_line[len(text.splitlines())] = above

    def take(self, line: int) -> list[str]:
        """Return the comments of a line and forget them."""
        return self._by_line.pop(line, [])

    def rest(self) -> list[str]:
        """Return the comments that are not taken, each with its old line."""
        return [f"line {line}: {text}" for line, lines in sorted(self._by_line.items()) for text in lines if text]
