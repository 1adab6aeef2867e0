"""Every recipe of object detection runs two batches of generated data, on small images."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import distill_core.weights
from distill_core.cli._load import load_document
from distill_core.config import Builder, NodesByKey
from distill_core.data import Loader
from distill_core.experiment import Experiment
from distill_core.train import Evaluate, Trainer
from distill_vision.data._coco_detection import lists

CONFIGS = Path(__file__).resolve().parents[2] / "benchmarks" / "object_detection" / "configs"
FILES = sorted(CONFIGS.glob("*/*.yaml"))
# One of each way that losses are wired; the others are slow.
QUICK = ("ce_fasterrcnn_mobilenet_v3_small", "fgd_retinanet", "crosskd_fcos", "ghnd_bottleneck_maskrcnn")
# Their detectors take images of 64×64.
SHAPES = CONFIGS / "shapes"


def generated(loader: functools.partial) -> Loader:
    """Return two batches of two small images with one object each, in place of the file's loader."""
    samples = []
    for number in range(4):
        height, width = 70 + 10 * (number % 2), 90
        target = {
            "boxes": torch.tensor([[10.0, 12.0, 50.0, 60.0]]),
            "labels": torch.ones(1, dtype=torch.long),
            "image_id": torch.tensor(number),
        }
        if loader.keywords.get("masks"):
            target["masks"] = torch.zeros(1, height, width, dtype=torch.uint8)
            target["masks"][0, 12:60, 10:50] = 1
        samples.append({"input": torch.rand(3, height, width), "target": target})
    return Loader(samples, 2, collate=lists)


def experiment(file: Path) -> Experiment:
    """Build the file's experiment with one epoch and detectors for small images and few boxes."""
    document = load_document(file)
    for node in NodesByKey(document).loaders():
        node.tag = node.tag.replace("!import_call", "!import_partial", 1)
    built = Builder(document).decode(document.root, Experiment)
    for model in built.models.values():
        model.transform.min_size, model.transform.max_size = (64,), 96
        if hasattr(model, "rpn"):
            for kept in (model.rpn._pre_nms_top_n, model.rpn._post_nms_top_n):
                kept.update(training=8, testing=8)
        for part in (getattr(model, "rpn", None), getattr(model, "roi_heads", None), model):
            for name in ("detections_per_img", "topk_candidates", "batch_size_per_image"):
                if hasattr(part, name):
                    setattr(part, name, 4)
    evaluations = [callback for callback in built.callbacks if isinstance(callback, Evaluate)]
    for callback in evaluations:
        callback.evaluation = replace(callback.evaluation, loader=generated(callback.evaluation.loader))
    return replace(
        built,
        data={split: generated(loader) for split, loader in built.data.items()},
        stages=[
            replace(stage, epochs=1, data=generated(stage.data) if callable(stage.data) else stage.data)
            for stage in built.stages
        ],
        callbacks=evaluations,
        test=replace(built.test, loader=generated(built.test.loader)),
        log_every=1,
    )


def test_there_are_files():
    assert {file.stem.split("_")[0] for file in FILES} >= {"ce", "pkd", "fgd", "mgd", "cwd", "crosskd", "ghnd", "ld"}


@pytest.mark.parametrize(
    "file",
    [f if f.stem.startswith(QUICK) or f.parent == SHAPES else pytest.param(f, marks=pytest.mark.slow) for f in FILES],
    ids=lambda file: f"{file.parent.name}/{file.stem}",
)
def test_two_batches_of_a_file(file, monkeypatch, seen):
    # Weights from elsewhere are on nobody's disk.
    unchanged = functools.wraps(distill_core.weights.load_weights)(lambda model, path, *, strict=True: model)
    monkeypatch.setattr(distill_core.weights, "load_weights", unchanged)
    ready = experiment(file)
    before = {key: value.clone() for key, value in ready.models["student"].state_dict().items()}
    results = Trainer(ready, callbacks=[seen]).fit()
    assert len(seen.terms) == 2 * len(ready.stages)
    assert all(math.isfinite(value) and value > 0 for terms in seen.terms for value in terms.values())
    assert all(-1 <= value <= 100 for value in results["last"]["test"].values())
    changed = [
        key for key, value in ready.models["student"].state_dict().items() if not torch.equal(before[key], value)
    ]
    assert changed
    if "ghnd" in file.stem:
        assert all(key.startswith("backbone.body.layer1.") for key in changed)
    elif file.parent.name == "coco":
        assert not any(key.startswith(("backbone.body.conv1.", "backbone.body.layer1.")) for key in changed)
