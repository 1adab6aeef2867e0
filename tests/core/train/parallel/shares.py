"""Trains a small model of sequences of uneven lengths; run by test_loss_scale.py, and by `torchrun` with a folder."""

from __future__ import annotations

import gc
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn

from distill_core.data import Loader, TensorData
from distill_core.losses import ForwardKLLoss, PKTLoss, TokenCELoss
from distill_core.train import Experiment, Stage, Term, Trainer


class Sequences(TensorData):
    """Nineteen samples of 1 to 6 tokens that count."""

    def __init__(self) -> None:
        chance = torch.Generator().manual_seed(0)
        inputs, target = (torch.randint(9, (19, 6), generator=chance) for _ in range(2))
        counts = torch.randint(1, 7, (19,), generator=chance)
        super().__init__({"input": inputs, "target": target.masked_fill(torch.arange(6) >= counts[:, None], -100)})

    def batch(self, indices: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        fields = super().batch(indices, seeds)
        return fields | {"mask": fields["target"] != -100}


class Pooled(nn.Module):
    """A mean over samples."""

    reduction_scope = "sample"

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return nn.functional.mse_loss(student.mean(1), teacher.mean(1))


class Flat(nn.Module):
    """A loss of a whole batch."""

    reduction_scope = "gathered"

    def __init__(self) -> None:
        super().__init__()
        self.loss = PKTLoss()

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.loss(student.flatten(1), teacher.flatten(1))


def train(batch_size: int, accumulate: int, *names: str) -> dict[str, Tensor]:
    """The student's weights after two epochs."""
    torch.manual_seed(0)
    models = {name: nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 9)) for name in ("teacher", "student")}
    both = {"student": "student", "teacher": "teacher"}
    terms = {
        "ce": Term(loss=TokenCELoss(), inputs={"student": "student", "target": "batch.target"}),
        "kl": Term(loss=ForwardKLLoss(), inputs=both | {"mask": "batch.mask"}, weight=2.0),
        "pooled": Term(loss=Pooled(), inputs=both, weight=0.5),
        "flat": Term(loss=Flat(), inputs=both),
    }
    stage = Stage(
        epochs=2,
        losses={name: terms[name] for name in names},
        optimizer=partial(torch.optim.SGD, lr=0.5, momentum=0.9),
        accumulate=accumulate,
    )
    experiment = Experiment(
        models=models, data={"train": Loader(Sequences(), batch_size, shuffle=True)}, stages=[stage], log_every=1
    )
    Trainer(experiment).fit()
    return models["student"].state_dict()


RUNS = {
    "halves": (4, 1, "ce", "kl", "pooled", "flat"),
    "quarters": (2, 2, "ce", "kl", "pooled"),
}
"""What two processes do: batch size of each, accumulation, terms."""


def main(folder: Path) -> None:
    for name, run in RUNS.items():
        weights = train(*run)
        if dist.get_rank() == 0:
            save_file(weights, folder / f"{name}.safetensors")
    gc.collect()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
