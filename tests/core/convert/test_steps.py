"""Converted runs give, step by step, the losses of an independent plain loop on the same data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_core.cli._load import build_experiment, load_document
from distill_core.data import SeedPath
from distill_core.experiment import Experiment
from distill_core.train import Callback, Trainer

from .test_methods import converted, root  # noqa: F401 - a fixture

Step = Callable[[dict[str, Any]], dict[str, Tensor]]


class Losses(Callback):
    """The losses of each step, by stage."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, dict[str, float]]] = []

    def on_log(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["split"] == "train":
            self.steps.append((record["stage"], dict(record["losses"])))


def trained(name: str, root: Path, folder: Path) -> tuple[Experiment, Experiment, list[dict[str, float]]]:  # noqa: F811
    """Return an untrained and a trained copy of an experiment, and the losses of the steps."""
    new, report = converted(name, root, folder)
    assert not report.lost
    text = ["callbacks=[]", "test=null", "log_every=1"]
    experiment = build_experiment(load_document(new, text))
    fresh = copy.deepcopy(experiment)
    losses = Losses()
    experiment.callbacks.append(losses)
    Trainer(experiment, output=folder / "run").fit()
    return fresh, experiment, [step for _, step in losses.steps]


def looped(
    fresh: Experiment, stage: int, learning: list[nn.Parameter], step: Step, weights: dict[str, float]
) -> list[dict[str, float]]:
    """Run a stage in plain torch: SGD with momentum, as in the old file."""
    optimizer = torch.optim.SGD(learning, lr=0.01, momentum=0.9, weight_decay=0.0005)
    rows = []
    loader = fresh.data["train"]
    for batch in loader.batches(SeedPath(fresh.seed, stage, 0)):
        terms = step(batch)
        optimizer.zero_grad()
        sum(weights[name] * value for name, value in terms.items()).backward()
        optimizer.step()
        rows.append({name: float(value.detach()) for name, value in terms.items()})
    return rows


def tapped(model: nn.Module, path: str) -> dict[str, Tensor]:
    kept: dict[str, Tensor] = {}
    model.get_submodule(path).register_forward_hook(lambda module, args, out: kept.update(out=out))
    return kept


def close(rows: list[dict[str, float]], given: list[dict[str, float]]) -> None:
    assert len(rows) == len(given) > 1
    for row, step in zip(rows, given, strict=True):
        assert row == pytest.approx(step, rel=2e-4)


def test_kd(root, tmp_path):  # noqa: F811
    fresh, _, given = trained("kd", root, tmp_path)
    teacher, student = fresh.models["teacher"].eval(), fresh.models["student"].train()

    def step(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            t = teacher(batch["input"])
        s = student(batch["input"])
        p, q = torch.softmax(t / 4, 1), torch.log_softmax(s / 4, 1)
        ce = -torch.log_softmax(s, 1)[range(len(s)), batch["target"]].mean()
        return {"ce": ce, "kd": 16 * (p * (p.log() - q)).sum() / len(s)}

    close(looped(fresh, 0, list(student.parameters()), step, {"ce": 0.5, "kd": 0.5}), given)


def test_ft(root, tmp_path):  # noqa: F811
    fresh, _, given = trained("ft", root, tmp_path)
    teacher, student = fresh.models["teacher"].eval(), fresh.models["student"].train()
    paraphraser = fresh.stages[0].losses["reconst"].loss.paraphraser.train()
    translator = fresh.stages[1].losses["ft"].loss.translator.train()
    of_teacher, of_student = tapped(teacher, "layer3"), tapped(student, "layer3")

    def reconstruct(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher(batch["input"])
        return {"reconst": ((paraphraser(of_teacher["out"]) - of_teacher["out"]) ** 2).sum()}

    first = looped(fresh, 0, list(paraphraser.parameters()), reconstruct, {"reconst": 1e-9})

    def transfer(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher(batch["input"])
            factor = paraphraser.encode(of_teacher["out"])
        logits = student(batch["input"])
        own = translator(of_student["out"]).flatten(1)
        factor = factor.flatten(1)
        difference = own / own.norm(dim=1, keepdim=True) - factor / factor.norm(dim=1, keepdim=True)
        return {"ce": F.cross_entropy(logits, batch["target"]), "ft": difference.abs().mean()}

    learning = [*student.parameters(), *translator.parameters()]
    second = looped(fresh, 1, learning, transfer, {"ce": 1.0, "ft": 1000.0})
    close([*first, *second], given)
