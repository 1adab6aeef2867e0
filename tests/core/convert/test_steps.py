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
from torch.nn.parameter import is_lazy

from distill_core.cli._load import build_experiment, load_document
from distill_core.convert import convert_torchdistill
from distill_core.data import SeedPath
from distill_core.experiment import Experiment
from distill_core.train import Callback, Trainer

from .old_ktaad import KTAAD
from .scene_data import write_scenes
from .test_methods import converted, root  # noqa: F401 - a fixture

Step = Callable[[dict[str, Any]], dict[str, Tensor]]


class Losses(Callback):
    """The losses of each step, by stage, and the tensors of the stages' losses before the first step."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.steps: list[tuple[int, dict[str, float]]] = []
        self.starts: list[dict[str, dict[str, Tensor]]] = []

    def on_stage_start(self, run: Any) -> None:
        terms = self.experiment.stages[len(self.starts)].losses
        self.starts.append({name: copy.deepcopy(term.loss.state_dict()) for name, term in terms.items()})

    def on_log(self, trainer: Any, record: dict[str, Any]) -> None:
        if record["split"] == "train":
            self.steps.append((record["stage"], dict(record["losses"])))


def trained(name: str, root: Path, folder: Path) -> tuple[Experiment, Experiment, list[dict[str, float]]]:  # noqa: F811
    """Return an untrained and a trained copy of an experiment, and the losses of the steps."""
    new, report = converted(name, root, folder)
    assert not report.lost
    return run(new, folder)


def run(
    new: Path, folder: Path, prepare: Callable[[Experiment], None] | None = None
) -> tuple[Experiment, Experiment, list[dict[str, float]]]:
    """Return an untrained and a trained copy of an experiment, and the losses of the steps."""
    text = ["callbacks=[]", "test=null", "log_every=1"]
    fresh, experiment = (_built(new, text, prepare) for _ in range(2))  # buffers of unknown shape cannot be copied
    losses = Losses(experiment)
    experiment.callbacks.append(losses)
    Trainer(experiment, output=folder / "run").fit()
    for stage, start in zip(fresh.stages, losses.starts, strict=True):
        for name, term in stage.losses.items():
            lazy = [key for key, value in term.loss.state_dict().items() if is_lazy(value)]
            term.loss.load_state_dict({key: start[name][key] for key in lazy}, strict=False)
    return fresh, experiment, [step for _, step in losses.steps]


def _built(new: Path, text: list[str], prepare: Callable[[Experiment], None] | None) -> Experiment:
    torch.manual_seed(0)
    experiment = build_experiment(load_document(new, text))
    if prepare is not None:
        prepare(experiment)
    return experiment


def looped(
    fresh: Experiment,
    stage: int,
    learning: list[nn.Parameter],
    step: Step,
    weights: dict[str, float],
    *,
    lr: float = 0.01,
    weight_decay: float = 0.0005,
) -> list[dict[str, float]]:
    """Run a stage in plain torch: SGD with momentum, as in the old file."""
    optimizer = torch.optim.SGD(learning, lr=lr, momentum=0.9, weight_decay=weight_decay)
    rows = []
    loader = fresh.data["train"]
    for batch in loader.batches(SeedPath(fresh.seed, stage, 0)):
        terms = step(batch)
        optimizer.zero_grad()
        sum(weights.get(name, 1.0) * value for name, value in terms.items()).backward()
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


def test_ktaad(tmp_path):
    write_scenes(tmp_path)
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(KTAAD.replace("ROOT", str(tmp_path)).replace("weight: 0.0000001", "weight: 0.001"))
    converted_file = convert_torchdistill(old)
    assert not converted_file.report.lost
    new.write_text(converted_file.text)
    fresh, _, given = run(new, tmp_path)
    teacher, student = fresh.models["teacher"].eval(), fresh.models["student"].train()
    terms = fresh.stages[1].losses
    paraphraser = fresh.stages[0].losses["reconst"].loss.translator.train()
    of_teacher, of_student = (tapped(model, "classifier.high_classifier") for model in (teacher, student))

    def reconstruct(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher(batch["input"])
        code = paraphraser.encoder(of_teacher["out"])
        rebuilt = paraphraser.decoder(code)
        size = code.abs().sum() / len(code)
        return {"reconst": ((rebuilt - of_teacher["out"]) ** 2).mean() + 0.001 * size}

    first = looped(fresh, 0, list(paraphraser.parameters()), reconstruct, {}, lr=0.1, weight_decay=1e-4)
    paraphraser.eval()
    adapter, affine = terms["adapt"].loss.adapter.train(), terms["aff"].loss.adapter

    def transfer(batch: dict[str, Any]) -> dict[str, Tensor]:
        with torch.no_grad():
            teacher(batch["input"])
            code = paraphraser.encoder(of_teacher["out"])
        logits = student(batch["input"])["out"]
        own, theirs = F.relu(adapter(of_student["out"])).flatten(1), code.flatten(1)
        adapt = (own / own.norm(dim=1, keepdim=True) - theirs / theirs.norm(dim=1, keepdim=True)).abs().mean()
        rows = []
        for one, other in zip(affine(of_student["out"]), code, strict=True):
            s, t = ((x / x.norm(dim=0, keepdim=True)).flatten(1) for x in (one, other))
            rows.append((s.T @ s - t.T @ t).norm(dim=1).sum() / s.shape[1])
        ce = F.cross_entropy(logits, batch["target"], ignore_index=255)
        return {"ce": ce, "adapt": adapt, "aff": torch.stack(rows).mean()}

    learning = [*student.parameters(), *adapter.parameters(), *affine.parameters()]
    second = looped(fresh, 1, learning, transfer, {"adapt": 50.0}, lr=0.007, weight_decay=1e-6)
    close([*first, *second], given)
