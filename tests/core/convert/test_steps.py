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
from distill_core.losses import CRDLoss
from distill_core.train import Callback, Trainer

from .old_files import FILES
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


def run(new: Path, folder: Path) -> tuple[Experiment, Experiment, list[dict[str, float]]]:
    text = ["callbacks=[]", "test=null", "log_every=1"]
    experiment = build_experiment(load_document(new, text))
    fresh = copy.deepcopy(experiment)
    losses = Losses(experiment)
    experiment.callbacks.append(losses)
    Trainer(experiment, output=folder / "run").fit()
    for stage, start in zip(fresh.stages, losses.starts, strict=True):
        for name, term in stage.losses.items():
            lazy = [key for key, value in term.loss.state_dict().items() if is_lazy(value)]
            term.loss.load_state_dict({key: start[name][key] for key in lazy}, strict=False)
    return fresh, experiment, [step for _, step in losses.steps]


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


def test_crd(root, tmp_path, monkeypatch):  # noqa: F811
    drawn: list[Tensor] = []
    draw = CRDLoss._draw
    monkeypatch.setattr(CRDLoss, "_draw", lambda loss, *given: drawn.append(draw(loss, *given)) or drawn[-1])
    fresh, _, given = trained("crd", root, tmp_path)
    teacher, student = fresh.models["teacher"].eval(), fresh.models["student"].train()
    loss = fresh.stages[0].losses["crd"].loss
    banks, layers = Banks(loss), [loss.student_embedding.linear, loss.teacher_embedding.linear]
    features = [tapped(student, "avgpool"), tapped(teacher, "avgpool")]
    classes = {
        int(index): int(target)
        for batch in epoch(fresh)
        for index, target in zip(batch["index"], batch["target"], strict=True)
    }
    steps = iter(drawn)

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
