"""The pictures of the README: they exist, are small, and come from a terminal that is drawn as it was."""

from __future__ import annotations

import re
import sys

import pytest

LARGEST = 300_000  # bytes


@pytest.fixture
def terminal(root, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "docs" / "pictures"))
    import terminal

    yield terminal
    sys.modules.pop("terminal")


def text_of(screen) -> list[str]:
    return ["".join(text for text, _ in row) for row in screen.rows()]


def test_the_readme_shows_them_and_they_are_small(root):
    shown = re.findall(r"!\[[^]]+\]\((docs/pictures/[^)]+)\)", (root / "README.md").read_text(encoding="utf-8"))
    assert sorted(shown) == ["docs/pictures/report.png", "docs/pictures/run.svg"]
    assert {name: (root / name).stat().st_size < LARGEST for name in shown} == dict.fromkeys(shown, True)


def test_the_screen_is_that_of_a_terminal(terminal):
    screen = terminal.Screen()
    screen.feed("one\r\ntwo\r\nthree")
    screen.feed("\r\x1b[2K\x1b[1A\x1b[2Kagain\r\n\x1b[1;32mgreen\x1b[0m plain")
    assert text_of(screen) == ["one", "again", "green plain"]
    assert screen.rows()[2][0] == ("green", (terminal.COLOURS[2], True, False))
    screen.feed("\r\n" * terminal.ROWS)
    assert len(text_of(screen)) == terminal.ROWS
    assert "one" not in text_of(screen)


def test_a_line_is_visible_from_its_first_to_its_last_frame(terminal):
    def row(text):
        return (((text, terminal.PLAIN),),)

    frames = [(0.0, row("first")), (1.0, row("first")), (2.0, row("<second>"))]
    drawn = terminal.animated_svg(frames, "a title")
    assert drawn.count("first") == 1
    assert 'keyTimes="0;0.0000;0.4000" values="hidden;visible;hidden"' in drawn
    assert 'keyTimes="0;0.4000" values="hidden;visible"' in drawn
    assert "&lt;second&gt;" in drawn
