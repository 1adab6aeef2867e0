"""Converted runs of CRD and SSKD give, step by step, the losses of an independent plain loop on the same data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.data import SeedPath
from distill_core.experiment import Experiment
from distill_core.losses import CRDLoss

from .old_files import FILES
from .test_methods import root  # noqa: F401 - a fixture
from .test_steps import close, looped, tapped, trained


class Banks:
    """The two memory banks of CRD, and the constants of the first batch."""

    def __init__(self, loss: CRDLoss) -> None:
        self.banks = [loss.teacher_bank.clone(), loss.student_bank.clone()]
        self.constants: list[Tensor] = []

    def loss(self, embeddings: list[Tensor], index: Tensor, negatives: Tensor) -> Tensor:
        """Return the sum of both directions: student against the teacher's bank, teacher against the student's."""
        total, noise, eps = torch.zeros(()), 6 / 8, 1e-7
        for number, (embedding, bank) in enumerate(zip(embeddings, self.banks, strict=True)):
            rows = [[int(one), *map(int, row)] for one, row in zip(index, negatives, strict=True)]
            scores = torch.stack([(bank[row] @ own / 0.07).exp() for row, own in zip(rows, embedding, strict=True)])
            if len(self.constants) <= number:
                self.constants.append(scores.mean().detach() * 8)
            p = scores / self.constants[number]
            right, wrong = (p[:, 0] / (p[:, 0] + noise + eps)).log(), (noise / (p[:, 1:] + noise + eps)).log()
            total = total - (right.sum() + wrong.sum()) / len(index)
        for embedding, bank in zip(embeddings, reversed(self.banks), strict=True):
            for own, place in zip(embedding.detach(), index, strict=True):
                moved = bank[place] / 2 + own / 2
                bank[place] = moved / moved.norm()
        return total


def recorded_draws(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[Tensor]]:
    """Return the negatives that each loss draws from now on, by its id: a check calls copies of a loss, too."""
    drawn: dict[int, list[Tensor]] = {}
    draw = CRDLoss._draw

    def recorded(loss: CRDLoss, *given: Tensor) -> Tensor:
        drawn.setdefault(id(loss), []).append(draw(loss, *given))
        return drawn[id(loss)][-1]

    monkeypatch.setattr(CRDLoss, "_draw", recorded)
    return drawn


def test_crd(root, tmp_path, monkeypatch):  # noqa: F811
    drawn = recorded_draws(monkeypatch)
    fresh, experiment, given = trained("crd", root, tmp_path)
    teacher, student = fresh.models["teacher"].eval(), fresh.models["student"].train()
    loss = fresh.stages[0].losses["crd"].loss
    banks, layers = Banks(loss), [loss.student_embedding.linear, loss.teacher_embedding.linear]
    features = [tapped(student, "avgpool"), tapped(teacher, "avgpool")]
    classes = {
        int(index): int(target)
        for batch in epoch(fresh)
        for index, target in zip(batch["index"], batch["target"], strict=True)
    }
    steps = iter(drawn[id(experiment.stages[0].losses["crd"].loss)])

    def step(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher(batch["input"])
        logits, negatives = student(batch["input"]), next(steps)
        for index, row in zip(batch["index"], negatives, strict=True):
            assert all(classes.get(int(one), -1) != classes[int(index)] for one in row)
        maps = [layer(kept["out"].flatten(1)) for layer, kept in zip(layers, features, strict=True)]
        embeddings = [mapped / mapped.norm(dim=1, keepdim=True) for mapped in maps]
        return {
            "ce": F.cross_entropy(logits, batch["target"]),
            "crd": banks.loss(embeddings, batch["index"], negatives),
        }

    learning = [*student.parameters(), *(parameter for layer in layers for parameter in layer.parameters())]
    close(looped(fresh, 0, learning, step, {"crd": 0.8}), given)


def epoch(fresh: Experiment) -> list[dict[str, Any]]:
    return list(fresh.data["train"].batches(SeedPath(fresh.seed, 0, 0)))


def cosines(embeddings: Tensor) -> Tensor:
    """Return the cosine of each rotated image, in rows, with each image, in columns; an image is followed by three."""
    images = range(0, len(embeddings), 4)
    rotated = [row for row in range(len(embeddings)) if row % 4]
    return torch.stack(
        [
            torch.stack([F.cosine_similarity(embeddings[row], embeddings[one], dim=0) for one in images])
            for row in rotated
        ]
    )


def kept_mean(student: Tensor, teacher: Tensor, truth: list[int], temperature: float, ratio: float) -> Tensor:
    """Return the mean of τ² KL over the rows that the teacher gets right and the best-ranked part of the others."""
    order = teacher.argsort(dim=1, descending=True).tolist()
    ranks = [row.index(right) for row, right in zip(order, truth, strict=True)]
    wrong = [row for row in range(len(ranks)) if ranks[row]]
    wrong.sort(key=lambda row: (ranks[row], -float(teacher[row, truth[row]])))
    rows = [row for row in range(len(ranks)) if not ranks[row]] + wrong[: int(len(wrong) * ratio)]
    p, q = (torch.softmax(x[rows] / temperature, 1) for x in (teacher, student))
    return temperature**2 * (p * (p.log() - q.log())).sum(1).mean()


def two_layers(head: nn.Module, features: Tensor) -> Tensor:
    """Return linear, ReLU and linear of features."""
    weights = list(head.parameters())
    return F.linear(F.relu(F.linear(features.flatten(1), *weights[:2])), *weights[2:])


def test_sskd(root, tmp_path, monkeypatch):  # noqa: F811
    """The similarities of untrained heads differ little, so that their temperature is small."""
    text = (
        FILES["sskd"]
        .replace("ss_temp: 0.5", "ss_temp: 0.01")
        .replace("[1.0, 0.9, 10.0, 2.7]", "[1.0, 0.9, 1000.0, 2.7]")
    )
    monkeypatch.setitem(FILES, "sskd", text)
    fresh, _, given = trained("sskd", root, tmp_path)
    teacher, student = fresh.models["teacher"].eval(), fresh.models["student"].train()
    head = fresh.stages[0].losses["aux_task"].loss.head
    features = {name: tapped(model, "avgpool") for name, model in fresh.models.items()}

    def images(batch: dict[str, Any]) -> Tensor:
        return batch["input"].reshape(-1, 3, 32, 32)

    def match(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher(images(batch))
        found = cosines(two_layers(head, features["teacher"]["out"]))
        own = torch.arange(found.shape[1]).repeat_interleave(3)
        return {"aux_task": F.cross_entropy(found, own)}

    first = looped(fresh, 0, list(head.parameters()), match, {})
    own_head = fresh.stages[1].losses["sskd"].loss.student_head

    def transfer(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            t = teacher(images(batch))
            theirs = cosines(two_layers(head, features["teacher"]["out"]))
        s = student(images(batch))
        ours = cosines(two_layers(own_head, features["student"]["out"]))
        target = batch["target"]
        rotated = [row for row in range(len(s)) if row % 4]
        p, q = torch.softmax(t[::4] / 4, 1), torch.softmax(s[::4] / 4, 1)
        kd = 16 * (p * (p.log() - q.log())).sum(1).mean()
        images_of = [number for number in range(len(target)) for _ in range(3)]
        labels_of = [int(target[number]) for number in images_of]
        ss = kept_mean(ours, theirs, images_of, 0.01, 0.75)
        tf = kept_mean(s[rotated], t[rotated], labels_of, 4.0, 1.0)
        return {"sskd": F.cross_entropy(s[::4], target) + 0.9 * kd + 1000 * ss + 2.7 * tf}

    second = looped(fresh, 1, [*student.parameters(), *own_head.parameters()], transfer, {})
    close([*first, *second], given)
