"""Every YAML file under benchmarks/: it checks, statically and deeply, and runs two batches of generated data."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image

import distill_core.weights
from distill_core.cli._load import load_document
from distill_core.cli.inspect._check import check_file
from distill_core.config import Builder, NodesByKey
from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment
from distill_core.train import Checkpoint, Evaluate, Trainer

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
ALL_FILES = sorted(BENCHMARKS.glob("*/configs/**/*.yaml"))
FILES = [file for file in ALL_FILES if not file.stem.startswith("entropic") or find_spec("compressai")]
"""The Entropic Student is built in an environment of its own: `hatch run compressai:test`."""
FOLDERS = {"cub2011", "cars", "sop", "tiny_imagenet"}
"""Data that come as a folder of images by class: the classes are those of the folder."""
IMAGES = [
    file
    for file in FILES
    if file.parents[2].name in {"image_classification", "semantic_segmentation"} and file.parent.name not in FOLDERS
]
TEXTS = ("glue", "text_classification")
CLASSES = {"digits": 10, "fashion_mnist": 10, "cifar10": 10, "cifar100": 100, "imagenet": 1000}
CLASSES |= {"voc_segmentation": 21, "coco_segmentation": 21, "shapes_segmentation": 5}
FIXED_SIZE = {"digits", "fashion_mnist", "cifar10", "cifar100", "shapes_segmentation"}

# A bank of 1.3 million entries is for those who train.
SMALLER = {"crd": ["_losses.crd.loss.num_samples=8", "_losses.crd.loss.num_negatives=4"]}
HEAVY = (
    "resnet152",
    "wide_resnet28_10",
    "wide_resnet40_4",
    "wide_resnet16_8",
    "resnet50",
    "resnet101",
    "densenet",
    "vit",
    "swin",
    "resnet110",
)


def name(file: Path) -> str:
    return f"{file.parent.name}/{file.stem}"


class Generated(TensorData):
    """Two batches like the example: noise, class numbers below `classes`, and each sample's index."""

    def __init__(self, example: dict[str, torch.Tensor], classes: int) -> None:
        self.example, self.classes = example, classes
        super().__init__({"index": torch.arange(2 * len(example["index"]))})

    def batch(self, indices, seeds):
        share = len(indices) / len(self.example["index"])  # rotations give several images a sample
        return {
            field: torch.randint(self.classes, (len(indices), *value.shape[1:]))
            if value.dtype == torch.long
            else torch.randn(int(len(value) * share), *value.shape[1:])
            for field, value in self.example.items()
            if field != "index"
        }


def generated(loader: functools.partial, size: int | None) -> Loader:
    """Return a loader of two small batches in place of the file's."""
    options = {**loader.keywords, "batch_size": 4}
    if size is not None and loader.func.__name__ not in FIXED_SIZE:
        options["size" if loader.func.__name__ == "imagenet" else "crop"] = size
    classes = len(options["classes"]) + 1 if options.get("classes") else CLASSES[loader.func.__name__]
    return Loader(Generated(loader.func.example_batch(*loader.args, **options), classes), 4)


def experiment(file: Path) -> Experiment:
    """Build the file's experiment with one epoch per stage, small batches and no pretrained weights."""
    overrides = SMALLER.get(file.stem.split("_")[0], []) if file.parent.name == "ilsvrc2012" else []
    document = load_document(file, overrides)
    for node in NodesByKey(document).loaders():
        node.tag = node.tag.replace("!import_call", "!import_partial", 1)
    built = Builder(document).decode(document.root, Experiment)
    size = None if "vit" in file.stem else 64
    evaluations = [callback for callback in built.callbacks if isinstance(callback, Evaluate)]
    for callback in evaluations:
        callback.evaluation = replace(callback.evaluation, loader=generated(callback.evaluation.loader, size))
    return replace(
        built,
        data={split: generated(loader, size) for split, loader in built.data.items()},
        stages=[
            replace(stage, epochs=1, data=generated(stage.data, size) if callable(stage.data) else stage.data)
            for stage in built.stages
        ],
        callbacks=[callback for callback in built.callbacks if not isinstance(callback, Checkpoint)],
        test=built.test and replace(built.test, loader=generated(built.test.loader, size)),
        cache={},  # its folder is the user's
        log_every=1,
    )


@pytest.fixture
def _no_weights(monkeypatch):
    """Teachers as they are made: their weights are on nobody's disk."""

    @functools.wraps(distill_core.weights.load_weights)
    def load_weights(model, path, *, strict=True):
        return model

    monkeypatch.setattr(distill_core.weights, "load_weights", load_weights)


def test_there_are_files():
    assert len(IMAGES) > 80
    assert {file.parent.name for file in IMAGES} >= {
        "digits",
        "digits_methods",
        "cifar10",
        "cifar100",
        "ilsvrc2012",
        "voc",
        "coco",
    }


@pytest.fixture(scope="session")
def few_images(tmp_path_factory):
    """Return a folder with two classes of images for training and for the test."""
    root = tmp_path_factory.mktemp("images")
    for split, number in ((split, number) for split in ("train", "val") for number in range(2)):
        (root / split / str(number)).mkdir(parents=True)
        for image in range(4):
            Image.effect_noise((70, 70), 50).convert("RGB").save(root / split / str(number) / f"{image}.png")
    return root


@pytest.mark.parametrize("file", ALL_FILES, ids=name)
def test_a_file_checks_statically_and_deeply(file, instead, few_images, capsys):
    check_file(file)
    if file not in FILES:
        return
    changes = instead(file) if file.parents[2].name in TEXTS or file.parent.name == "smollm2" else []
    if file.parent.name in FOLDERS:
        changes = [f"_root={few_images}", "data.train.holdout=2", "data.val.holdout=2"]
    capsys.readouterr()  # what libraries say when they are loaded
    check_file(file, changes, deep=True)
    told = capsys.readouterr().out
    assert told.startswith(f"{file}: no problems (")
    notes = [line.split("note", 1)[1].strip() for line in told.splitlines() if line.startswith("  note ")]
    if file.parents[2].name == "object_detection":  # detectors choose boxes by their scores, which shapes do not have
        notes = [n for n in notes if not n.endswith("to its end without data: what reads student is not checked")]
    # Transformers' masks and CompressAI's prior ask for numbers.
    if file.parents[2].name not in TEXTS and not file.stem.startswith("entropic"):
        assert notes == [], "something was not checked"


@pytest.mark.parametrize(
    "file",
    [pytest.param(f, marks=pytest.mark.slow) if any(word in f.stem for word in HEAVY) else f for f in IMAGES],
    ids=name,
)
@pytest.mark.usefixtures("_no_weights")
def test_two_batches_of_a_file(file, seen):
    ready = experiment(file)
    before = {key: value.clone() for key, value in ready.models["student"].state_dict().items()}
    results = Trainer(ready, callbacks=[seen]).fit()
    accumulated = [stage.accumulate if isinstance(stage.accumulate, int) else 1 for stage in ready.stages]
    assert len(seen.terms) == sum(2 // number for number in accumulated)
    assert all(math.isfinite(value) for terms in seen.terms for value in terms.values())
    measured = results["last"].get("test", {})
    assert all(0 <= value <= 100 for name, value in measured.items() if name != "bytes")
    assert any(not torch.equal(before[key], value) for key, value in ready.models["student"].state_dict().items())
