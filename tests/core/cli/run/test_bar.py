"""The live bar, in a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal")

RUN = "import sys; sys.argv = ['distill', *sys.argv[1:]]; from distill_core.cli import main; main()"


def in_terminal(*words: str) -> tuple[int, str]:
    """Run a command with a terminal for all three streams; its exit code and what it drew."""
    terminal, inner = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", RUN, *words]
    with subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=environment) as process:
        os.close(inner)
        drawn = b"".join(iter(lambda: read(terminal), b""))
    os.close(terminal)
    return process.returncode, drawn.decode()


def read(terminal: int) -> bytes:
    """What was drawn next, nothing after the end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""


def test_a_terminal_gets_one_bar_for_each_stage_and_the_log_gets_lines(toy):
    text = toy.read_text().replace("\ncallbacks:", "  - {epochs: 2}\n\ncallbacks:")
    toy.write_text(text)
    code, drawn = in_terminal("run", str(toy), "--output", "out", "--trust", "toy")
    assert code == 0, drawn
    assert "\x1b[" in drawn
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    for stage, epochs in ((1, 3), (2, 2)):
        finished = drawn.rindex(f"stage {stage}/2")
        assert f"epoch {epochs}/{epochs}" in drawn[finished : finished + 400]
    assert "(ce 0." in drawn
    assert "val share 0." in drawn
    assert "step" not in drawn
    lines = Path("out/log.txt").read_text()
    assert "\x1b" not in lines
    assert "stage 2/2 · epoch 2/2 · step 15 · val · share 0." in lines


def test_a_failing_run_gives_the_terminal_back(toy):
    code, drawn = in_terminal("run", str(toy), "stages.0.losses.ce.weight=1e39", "--output", "out", "--trust", "toy")
    assert code == 1
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l"), "the cursor is shown again"
    assert "hint: a lower learning rate" in drawn.splitlines()[-1]
