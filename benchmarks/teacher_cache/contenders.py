"""Students and teachers of the comparison, their data, and experiments without end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lanes import Tick
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from distill_core.data import Loader, TensorData
from distill_core.losses import KDLoss
from distill_core.train import Callback, Experiment, Stage, Term, Trainer
from distill_vision.transforms import Compose, horizontal_flip, normalize, random_crop

BATCH, SAMPLES = 128, 1280
MAPS = ("layer2", "layer3")
AUGMENT = Compose([partial(random_crop, padding=4), horizontal_flip])


def prepared(images: Tensor, seeds: Tensor) -> Tensor:
    """Apply the standard augmentation of CIFAR."""
    return normalize(AUGMENT(images, seeds), mean=[0.49, 0.48, 0.45], std=[0.25, 0.24, 0.26])


def loader() -> Loader:
    """Return a loader of noise images of CIFAR's size."""
    images = torch.randint(256, (SAMPLES, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Loader(TensorData({"input": images, "target": torch.arange(SAMPLES) % 100}, prepared), BATCH, shuffle=True)


class Tiny(nn.Module):
    """A student so small that every additional cost is visible."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2 = nn.Sequential(nn.Conv2d(3, 32, 3, stride=2, padding=1), nn.ReLU())
        self.layer3 = nn.Sequential(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU())
        self.fc = nn.Linear(64, 100)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        return self.fc(self.layer3(self.layer2(images)).mean((2, 3)))


class Minimal(nn.Module):
    """The smallest possible network: data and trainer take longer than its own step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 100)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        return self.fc(self.conv(images).relu().mean((2, 3)))


class Given(nn.Module):
    """A teacher without cost: it always returns the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.layer2, self.layer3 = nn.Identity(), nn.Identity()
        self.tensors = torch.randn(BATCH, 32, 16, 16), torch.randn(BATCH, 64, 8, 8), torch.randn(BATCH, 100)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        del images
        self.layer2(self.tensors[0])
        self.layer3(self.tensors[1])
        return self.tensors[2]


class OneFileEach(nn.Module):
    """The common cache: one `.pt` file per sample."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        for index in range(SAMPLES):
            torch.save(torch.randn(100), folder / f"{index}.pt")

    def forward(self, index: Tensor) -> Tensor:
        """Return logits (batch, 100)."""
        return torch.stack([torch.load(self.folder / f"{each}.pt", weights_only=True) for each in index.tolist()])


class Turn(Callback):
    """Ends the turn after each step."""

    def __init__(self, tick: Tick) -> None:
        self.tick = tick

    def on_step_end(self, trainer: Trainer) -> None:
        """Called after each step."""
        del trainer
        self.tick()


def settled(teacher: nn.Module) -> nn.Module:
    """Give a new teacher the statistics of these images; without them its logits would be unrealistic, in the thousands."""
    update_bn((batch["input"] for batch in loader()), teacher)
    return teacher.eval()


def hint(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Return the squared distance of feature maps."""
    return torch.stack([nn.functional.mse_loss(s, t) for s, t in zip(student, teacher, strict=True)]).sum()


def endless(
    student: Callable[[], nn.Module], teacher: nn.Module | None, taps: str, options: Mapping[str, Any],
    feed: Mapping[str, Any] | None = None,
) -> Experiment:  # fmt: skip
    """Return an endless experiment."""
    torch.manual_seed(0)
    terms = {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})}
    if teacher is not None and taps == "logits":
        terms["kd"] = Term(loss=KDLoss(temperature=4.0), inputs={"student": "student", "teacher": "teacher"})
    elif teacher is not None:
        maps = {name: [f"{name}.{layer}" for layer in MAPS] for name in ("student", "teacher")}
        terms["hint"] = Term(loss=hint, inputs=maps)
    both = {"student": student()} | ({"teacher": teacher.eval()} if teacher is not None else {})
    optimizer = partial(torch.optim.SGD, lr=1e-3, momentum=0.9)
    stage = Stage(epochs=10**6, losses=terms, optimizer=optimizer, feed=feed)
    return Experiment(models=both, data={"train": loader()}, stages=[stage], log_every=10**9, **options)


def train(build: Callable[[], Experiment], tick: Tick) -> None:
    """Train without end."""
    Trainer(build(), callbacks=[Turn(tick)], progress=False).fit()
