"""The experiment of cached runs as a fixture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The functions of the script that the tests of caches run in processes of their own, too."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    import cached_run

    return cached_run
