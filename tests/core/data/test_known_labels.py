"""The class of every sample, where it is known without reading samples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torch.utils.data import Subset
from torchvision.datasets import ImageFolder

from distill_core.data import Loader, TensorData, known_labels
from distill_core.experiment import Experiment, Stage, Term
from distill_core.losses import CRDLoss
from distill_core.train import Trainer
from distill_vision.data import image_folder

LABELS = torch.tensor([0, 1, 1, 2, 0, 2])
DATA = TensorData({"input": torch.randn(6, 4), "target": LABELS})


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, count in (("a", 3), ("b", 2)):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8)).save(folder / f"{number}.png")
    return tmp_path


def test_labels_of_datasets_equal_those_of_their_samples(images):
    datasets = [
        DATA,
        Subset(DATA, [4, 0, 3]),
        ImageFolder(images / "train"),
        image_folder("train", root=images, batch_size=1, holdout=0, size=8).dataset,
    ]
    for dataset in datasets:
        labels = known_labels(dataset)
        read = [
            sample["target"] if isinstance(sample, dict) else sample[1]
            for sample in map(dataset.__getitem__, range(len(dataset)))
        ]
        assert labels is not None
        assert labels.tolist() == [int(label) for label in read]


@pytest.mark.parametrize(
    "targets", [None, [0.5, 1.0], [[0], [1]], ["a", "b"], torch.zeros(2, 3), torch.zeros(2), [0, 1, 2]]
)
def test_other_targets_are_not_labels(targets):
    class Data:
        def __len__(self) -> int:
            return 2

    data = Data()
    data.targets = targets
    assert known_labels(data) is None


def test_a_run_sets_the_labels_of_crd(tmp_path):
    loss = CRDLoss(6, dim=3, num_negatives=5)
    seen = []
    loss.register_forward_pre_hook(lambda module, args: seen.append(module.classes.tolist()))
    wired = {"student": "student", "teacher": "teacher", "index": "batch.index", "target": "batch.target"}
    experiment = Experiment(
        models={"teacher": nn.Linear(4, 3), "student": nn.Linear(4, 3)},
        data={"train": Loader(DATA, 2)},
        stages=[
            Stage(
                epochs=1, losses={"crd": Term(loss=loss, inputs=wired)}, optimizer=lambda p: torch.optim.SGD(p, lr=0.1)
            )
        ],
    )
    Trainer(experiment, output=tmp_path / "run").fit()
    assert seen[0] == LABELS.tolist()
