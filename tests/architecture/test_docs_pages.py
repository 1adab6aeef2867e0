"""The code of the site's pages runs, page by page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted([*(DOCS / "start").glob("*.md"), DOCS / "guides/zoo.md"])


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(page, tmp_path):
    script = Path(__file__).with_name("page.py")
    done = subprocess.run(
        [sys.executable, str(script), str(page)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_messages_on_the_page_of_troubleshooting_exist(tracked):
    """Each message in the first column of the table, `…` for what varies, is in a source file."""
    table = (DOCS / "guides/troubleshooting.md").read_text(encoding="utf-8")
    messages = re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)
    assert len(messages) > 8
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in tracked if "/src/" in str(path) and path.suffix == ".py"
    )
    assert [message for message in messages if any(part not in sources for part in message.split("…"))] == []
