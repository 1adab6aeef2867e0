from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Images of three classes of one's own in `pictures`, in a new current folder."""
    pytest.importorskip("distill_vision")
    monkeypatch.chdir(tmp_path)
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2)):
        for name in ("cat", "dog", "my cow"):
            folder = Path("pictures", split, name)
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(noise.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
