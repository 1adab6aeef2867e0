"""The benchmark of the input pipeline: every pipeline yields batches, and the page lists all of them."""

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


def test_every_pipeline_is_measured(script):
    images = torch.randint(0, 256, (3 * script.BATCH, 3, 32, 32), dtype=torch.uint8)
    pipelines = script.build_pipelines(images, torch.arange(len(images)) % 10)
    times = script.measure(pipelines, rounds=1, steps=1)
    assert all(len(values) == 1 and values[0] > 0 for values in times.values())
    rows = re.findall(r"^\| ((?:whole|one)[^|]+) \|", script.table(times), flags=re.MULTILINE)
    page = re.findall(
        r"^\| ((?:whole|one)[^|]+) \|", (HOME / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert rows == page == list(pipelines)


def test_both_pipelines_have_the_same_pixels(script):
    images = torch.randint(0, 256, (40, 3, 32, 32), dtype=torch.uint8)
    assert script.same_pixels(images).startswith("With the same crops and flips, 40 images have identical pixels")
