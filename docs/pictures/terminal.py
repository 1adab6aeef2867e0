"""A terminal on which programs run: its screen over time, as an animated SVG."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

COLUMNS, ROWS = 100, 27
LONGEST_PAUSE = 0.6  # seconds; what takes longer is shortened
SHORTEST_FRAME = 0.12
CHARACTER, LINE, MARGIN = 7.8, 17.0, 14.0  # pixels
COLOURS = dict(enumerate("#6b7280 #f87171 #4ade80 #facc15 #60a5fa #c084fc #22d3ee #e5e7eb".split()))
"""SGR colour → colour on the dark background."""
GREEN = 70  # of a complete bar
_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()][A-Z0-9]|\r|\n|[^\x1b\r\n]+")

_WORDS = re.compile(r"\S+(?: \S+)*")
"""Words with single spaces between them."""

Style = tuple[str, bool, bool]
"""Colour, bold, dim."""
PLAIN: Style = ("#e5e7eb", False, False)
Row = tuple[tuple[str, Style], ...]
"""Characters of a line with their styles, as runs of one style."""


@dataclass
class Screen:
    """The lines of a terminal, as far as the output of rich needs one: cursor up, erased lines, colours."""

    lines: list[list[tuple[str, Style]]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    style: Style = PLAIN

    def feed(self, text: str) -> None:
        """Process output."""
        for found in _SEQUENCE.finditer(text):
            if found[0] == "\r":
                self.column = 0
            elif found[0] == "\n":
                self._next_line()
            elif found[2]:
                self._control(found[1], found[2])
            elif not found[0].startswith("\x1b"):
                self._write(found[0])

    def rows(self) -> tuple[Row, ...]:
        """Return the visible lines."""
        return tuple(_runs(line) for line in self.lines[-ROWS:])

    def _next_line(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append([])

    def _control(self, argument: str, kind: str) -> None:
        if kind == "m":
            self.style = _styled(self.style, argument)
        elif kind == "A":
            self.row = max(self.row - int(argument or 1), 0)
        elif kind == "K":
            self.lines[self.row] = [] if argument == "2" else self.lines[self.row][: self.column]

    def _write(self, text: str) -> None:
        for character in text:
            if self.column == COLUMNS:
                self._next_line()
            line = self.lines[self.row]
            line += [(" ", PLAIN)] * (self.column + 1 - len(line))
            line[self.column] = (character, self.style)
            self.column += 1


def _styled(style: Style, argument: str) -> Style:
    """Return a style after an SGR sequence."""
    colour, bold, dim = style
    codes = [int(code or 0) for code in argument.split(";")]
    if codes[:2] == [38, 5]:
        return (COLOURS[2] if codes[2] == GREEN else COLOURS[codes[2] % 8], bold, dim)
    for code in codes:
        if code == 0:
            colour, bold, dim = PLAIN
        elif code in (1, 2):
            bold, dim = bold or code == 1, dim or code == 2
        elif code == 39:
            colour = PLAIN[0]
        elif 30 <= code <= 37 or 90 <= code <= 97:
            colour = COLOURS[code % 10]
    return (colour, bold, dim)


def _runs(line: Sequence[tuple[str, Style]]) -> Row:
    runs: list[tuple[str, Style]] = []
    for character, style in line:
        if runs and runs[-1][1] == style:
            runs[-1] = (runs[-1][0] + character, style)
        else:
            runs.append((character, style))
    return tuple(runs)


def record(
    commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str]
) -> list[tuple[float, tuple[Row, ...]]]:
    """Run commands one after another on a terminal; return the time of each frame and its lines."""
    screen, frames, now = Screen(), [], 0.0
    for command in commands:
        screen.feed("\x1b[1;32m$\x1b[0m ")
        for character in " ".join(command):
            screen.feed(character)
        frames.append((now := now + 0.5, screen.rows()))
        screen.feed("\n")
        for pause, output in _outputs(command, folder, environment):
            screen.feed(output)
            now += min(pause, LONGEST_PAUSE)
            if frames[-1][0] + SHORTEST_FRAME > now:
                frames.pop()
            frames.append((now, screen.rows()))
        frames.append((now := now + 1.0, screen.rows()))
    return frames


def _outputs(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Yield the output of a command, each piece with the seconds since the piece before."""
    terminal, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    last = time.monotonic()
    with subprocess.Popen(
        command, stdin=inner, stdout=inner, stderr=inner, cwd=folder, env={**os.environ, **environment}
    ):
        os.close(inner)
        while output := _read(terminal):
            now = time.monotonic()
            yield now - last, output.decode(errors="replace")
            last = now
    os.close(terminal)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def animated_svg(frames: Sequence[tuple[float, tuple[Row, ...]]], title: str) -> str:
    """Return an SVG that shows the frames in a loop; a line that does not change is written once."""
    end = frames[-1][0] + 3.0
    width, height = COLUMNS * CHARACTER + 2 * MARGIN, ROWS * LINE + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" rx="8" fill="#111827"/>',
        '<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="13" xml:space="preserve">',
    ]
    for index in range(ROWS):
        for start, stop, row in _spans(frames, index, end):
            parts.append(_line(row, index, start / end, stop / end, end))
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _spans(
    frames: Sequence[tuple[float, tuple[Row, ...]]], index: int, end: float
) -> Iterator[tuple[float, float, Row]]:
    """Yield the contents of a line of the screen with the time from and until which they are shown."""
    shown: Row = ()
    start = 0.0
    for now, rows in frames:
        row = rows[index] if index < len(rows) else ()
        if row != shown:
            if shown:
                yield start, now, shown
            shown, start = row, now
    if shown:
        yield start, end, shown


def _line(row: Row, index: int, start: float, stop: float, seconds: float) -> str:
    """Return a line that is visible during a part of the animation."""
    y = MARGIN + LINE * (index + 0.8)
    pieces, column = [], 0
    for text, (colour, bold, dim) in row:
        for word in _WORDS.finditer(text):  # an SVG shows several spaces as one
            marks = ' font-weight="700"' * bold + ' opacity="0.6"' * dim
            x, length = MARGIN + (column + word.start()) * CHARACTER, len(word[0]) * CHARACTER
            place = f'x="{x:.1f}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
            pieces.append(f'<tspan {place} fill="{colour}"{marks}>{escape(word[0])}</tspan>')
        column += len(text)
    times, values = f"0;{start:.4f}", "hidden;visible"
    if stop < 1:
        times, values = f"{times};{stop:.4f}", f"{values};hidden"
    timing = f'<animate attributeName="visibility" calcMode="discrete" dur="{seconds:.1f}s" repeatCount="indefinite"'
    return (
        f'<text y="{y:.1f}" visibility="hidden">{"".join(pieces)}{timing} keyTimes="{times}" values="{values}"/></text>'
    )
