"""The weights in the package: their size, completeness and accuracy."""

from __future__ import annotations

import json

import pytest
import torch

import distill_zoo
from distill_zoo import _cards

EMBEDDED = [name for name in distill_zoo.list_models() if distill_zoo.card(name).embedded]


def test_teachers_and_students_are_included():
    for dataset in ("digits", "fashion_mnist"):
        assert [name for name in EMBEDDED if name.startswith(dataset)] == [
            f"{dataset}/convnet64.ce",
            f"{dataset}/convnet8.ce",
            f"{dataset}/convnet8.kd",
            f"{dataset}/convnet8.kd_unlabelled",
        ]


def test_the_embedded_weights_are_small():
    assert sum(distill_zoo.download(name).stat().st_size for name in EMBEDDED) < 8_000_000


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_has_its_recipe_seed_log_and_metrics(name, root):
    card = distill_zoo.card(name)
    training = card.trained_by
    assert card.verified
    assert (root / training.recipe).is_file()
    assert len(training.commit) == 40
    files = {
        file: _cards.beside(name, f"{training.folder}/{file}") for file in ("recipe.yaml", "log.txt", "results.json")
    }
    results = json.loads(files["results.json"].read_text(encoding="utf-8"))
    assert results["seed"] == training.seed
    assert f"with seed {training.seed}" in files["log.txt"].read_text(encoding="utf-8").splitlines()[0]
    assert "!import_call:" + card.builder in files["recipe.yaml"].read_text(encoding="utf-8")
    for each in card.metrics:
        assert each.value == pytest.approx(100 * results["best"][each.split][each.name], abs=1e-3)
        assert each.name in results["percent"]
        assert each.seeds == (training.seed,)
        assert each.tolerance
    assert bool(card.teacher) == ("kd" in card.tag)


def test_the_tensors_load_with_torch_alone_and_without_network(python):
    code = (
        "import sys, os, json; os.environ['DISTILL_OFFLINE'] = '1'\n"
        "for name in ('distill_core', 'distill_vision', 'safetensors', 'huggingface_hub', 'torchvision'):\n"
        "    sys.modules[name] = None\n"
        "import distill_zoo\n"
        "count = lambda name: sum(tensor.numel() for tensor in distill_zoo.load_state_dict(name).values())\n"
        "print(json.dumps({name: count(name) for name in sys.argv[1:]}))"
    )
    # The parameters, and the statistics and the counter of three batch norms.
    expected = {"64": 75338 + 3 * (2 * 64 + 1), "8": 1362 + 3 * (2 * 8 + 1)}
    counted = json.loads(python(code, *EMBEDDED).stdout)
    assert counted == {name: expected["64" if "convnet64" in name else "8"] for name in EMBEDDED}


@pytest.mark.parametrize("name", [name for name in EMBEDDED if name.startswith("digits/")])
def test_a_digits_model_reproduces_the_accuracy_on_its_card(name):
    data = pytest.importorskip("distill_vision.data")
    batches = data.digits("test", batch_size=360)
    model = distill_zoo.load(name)
    (batch,) = batches.batches(_seed_path())
    with torch.no_grad():
        right = (model(batch["input"]).argmax(1) == batch["target"]).float().mean().item() * 100
    (wanted,) = [each.value for each in distill_zoo.card(name).metrics if each.split == "test"]
    assert right == pytest.approx(wanted, abs=1e-3)


def _seed_path():
    from distill_core.data import SeedPath

    return SeedPath(seed=0, stage=0, epoch=0)


@pytest.mark.parametrize("name", [name for name in EMBEDDED if name.startswith("digits/")])
def test_the_transforms_of_a_card_match_the_training(name):
    """Take the images from scikit-learn, without another package's data."""
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    pytest.importorskip("distill_vision")
    digits = load_digits()
    prepare, model = distill_zoo.transforms(name), distill_zoo.load(name)
    images = prepare(torch.from_numpy(digits.images).to(torch.uint8).unsqueeze(1))
    with torch.no_grad():
        right = (model(images).argmax(1).numpy() == digits.target).mean() * 100
    assert right > 90
