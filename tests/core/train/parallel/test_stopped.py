"""Two processes train with stopped forwards as with complete ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent / "stopped.py"


def test_two_processes_update_what_is_trained_bit_for_bit():
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    for row in json.loads(done.stdout)["rows"]:
        assert row["different"] == ["1.norm.running_mean", "1.norm.running_var", "1.norm.num_batches_tracked"]
        assert row["calls"] == [8, 1]  # one before the first step, as a check
