"""The benchmark of the input pipeline: every way gives batches, and its page has what was measured."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

HOME = Path(__file__).resolve().parents[2] / "benchmarks" / "input_pipeline"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("input_pipeline", HOME / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_way_is_measured(script):
    images = torch.randint(0, 256, (3 * script.BATCH, 3, 32, 32), dtype=torch.uint8)
    found = script.ways(images, torch.arange(len(images)) % 10)
    times = script.measure(found, rounds=1, steps=1)
    assert all(len(values) == 1 and values[0] > 0 for values in times.values())
    rows = re.findall(r"^\| ((?:whole|one)[^|]+) \|", script.table(times), flags=re.MULTILINE)
    page = re.findall(
        r"^\| ((?:whole|one)[^|]+) \|", (HOME / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert rows == page == list(found)


def test_both_ways_have_the_same_pixels(script):
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    assert script.same_pixels(images).startswith(
        "Cut at the same places and mirrored alike, 40 images have the same pixels"
    )
