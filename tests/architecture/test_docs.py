"""The site builds without a warning and has an entry for each key, command and loss."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from distill_core import losses
from distill_core.experiment import Experiment

pytestmark = pytest.mark.slow


def test_the_site_is_complete(root, tmp_path):
    if importlib.util.find_spec("furo") is None:
        pytest.skip("needs the environment `docs`: hatch run docs:test")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-b",
        "html",
        str(root / "docs"),
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "reference").glob("*.html")}
    assert [key for key in Experiment.__dataclass_fields__ if f">{key}<" not in pages["keys"]] == []
    assert [
        name for name in ("run", "check", "zoo list", "cache build") if f"distill {name}<" not in pages["commands"]
    ] == []
    names = [name for name in vars(losses) if name.endswith("Loss")]
    assert len(names) > 70
    assert [name for name in names if name not in pages["methods"]] == []
    assert "cdn" not in (tmp_path / "index.html").read_text(encoding="utf-8")
