"""A small image experiment with a live or cached teacher; as a script, one life of a run that may be killed.

cached_run.py OUTPUT [CACHE [STEP AT WHICH IT IS KILLED, 0 FOR NONE [mix]]]
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from distill_core.data import Loader, TensorData
from distill_core.experiment import CacheSettings
from distill_core.train import Callback, Checkpoint, Experiment, Stage, Term, Trainer


def crop_and_flip(images: Tensor, seeds: Tensor, *, padding: int = 2) -> Tensor:
    """Shift each image by up to `padding` pixels and mirror half of them, by seed."""
    size = images.shape[-1]
    padded = nn.functional.pad(images, [padding] * 4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)
    shifts = 2 * padding + 1
    cropped = windows[torch.arange(len(images)), :, seeds % shifts, seeds // shifts % shifts]
    return torch.where((seeds // shifts**2 % 2 == 0)[:, None, None, None], cropped.flip(3), cropped)


class Samples:
    """The same one at a time, augmented from torch's generator."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.images, self.target = tensors["input"], tensors["target"]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        seed = torch.randint(2**40, (1,))
        return crop_and_flip(self.images[index : index + 1], seed)[0], self.target[index]


def network(width: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        nn.Conv2d(width, width, 3, padding=1, stride=2), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 8),
    )  # fmt: skip


class Hint(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ModuleList([nn.Conv2d(4, 16, 1), nn.Conv2d(4, 16, 1)])

    def forward(self, student: list[Tensor], teacher: list[Tensor]) -> Tensor:
        pairs = zip(self.maps, student, teacher, strict=True)
        return torch.stack([nn.functional.mse_loss(each(s), t) for each, s, t in pairs]).sum()


def kd(student: Tensor, teacher: Tensor) -> Tensor:
    return nn.functional.kl_div(student.log_softmax(1), teacher.log_softmax(1), log_target=True, reduction="batchmean")


def mixture(batch: dict[str, Any], seeds: Tensor) -> dict[str, Any]:
    """Each image with a share of the one before it in its batch, the label as probabilities."""
    share = (seeds % 97 / 97).float()
    labels = nn.functional.one_hot(batch["target"], 8).float()
    images = batch["input"]
    return batch | {
        "input": torch.lerp(images.roll(1, 0), images, share[:, None, None, None]),
        "target": torch.lerp(labels.roll(1, 0), labels, share[:, None]),
    }


def experiment(
    workers: int | None,
    *,
    drop_last: bool = False,
    processes: int = 1,
    repeats: int = 1,
    mix: bool = False,
    **options: Any,
) -> Experiment:
    """40 images in batches of 6, five epochs; `workers` None keeps the data in memory."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(40) % 8
    images = torch.randn(40, 3, 8, 8, generator=generator) + target[:, None, None, None] / 4
    tensors = {"input": images, "target": target}
    data = TensorData(tensors, partial(crop_and_flip, padding=2)) if workers is None else Samples(tensors)
    batches = {"drop_last": drop_last, "repeats": repeats, "mix": mixture if mix else None}
    loader = Loader(data, 6 // processes, shuffle=True, num_workers=workers or 0, **batches)
    models = {"teacher": network(16, 0), "student": network(4, 1)}
    torch.manual_seed(2)
    terms = {
        "ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}),
        "kd": Term(loss=kd, inputs={"student": "student", "teacher": "teacher"}),
        "hint": Term(
            loss=Hint(), inputs={"student": ["student.1", "student.5"], "teacher": ["teacher.1", "teacher.5"]}
        ),
    }
    stage = Stage(epochs=5, losses=terms, optimizer=partial(torch.optim.SGD, lr=0.05, momentum=0.9))
    return Experiment(models=models, data={"train": loader}, stages=[stage], log_every=3, **options)


class KillAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, trainer: Trainer) -> None:
        if trainer.state.step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def main(output: str, cache: str = "", kill: str = "", mix: str = "") -> None:
    settings = {"cache": {"teacher": CacheSettings(folder=cache, views=2)}} if cache else {"views": 2}
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    made = experiment(None, processes=processes, mix=bool(mix), callbacks=[Checkpoint(every_steps=4)], **settings)
    trainer = Trainer(made, output=Path(output), callbacks=[KillAt(int(kill))] if int(kill or 0) else [])
    trainer.fit(resume=(Path(output) / "checkpoints" / "latest").is_file())
    del trainer, made
    gc.collect()
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
