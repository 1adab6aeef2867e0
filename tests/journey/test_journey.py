"""A new user's way from an empty folder to an exported student, in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_new_user_gets_from_an_empty_folder_to_a_shipped_student(tmp_path):
    if os.environ.get("PIP_NO_INDEX"):
        pytest.skip("installs packages from an index")
    script = Path(__file__).with_name("journey.py")
    done = subprocess.run(
        [sys.executable, "-I", str(script), str(tmp_path / "journey")],
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
