"""`check --deep` notes what a run would log, and refuses what a run would refuse in its first steps."""

from __future__ import annotations

import pytest

FIELDS = '''
"""Models, losses and data whose outputs, errors and names are odd."""
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import TensorDataset
from distill_core.data import Loader
from toy import Net


@dataclass
class Output:
    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Wrapped(Net):
    def forward(self, points):
        return Output(super().forward(points))


class Named(Net):
    def forward(self, points):
        return {"out": super().forward(points), "aux": points}


def nine(batch_size: int = 4) -> Loader:
    return Loader(TensorDataset(torch.randn(9, 4), torch.randint(0, 2, (9,))), batch_size)


def failing(input, target):
    raise ValueError("metadata, metamorphosis, metal: the word is no reason to let this pass")


def normed(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def steps(width: int = 4):
    """Draws rates from a range, as stochastic depth does: a constructor that looks at numbers."""
    return nn.Sequential(nn.Linear(4, 2), *(nn.Dropout(rate.item()) for rate in torch.linspace(0, 0.5, 3)))
'''
CE = "!import_call:torch.nn.CrossEntropyLoss {}"
KD = "inputs: {student: student, teacher: teacher}"


@pytest.fixture
def check(toy, distill, tmp_path, monkeypatch):
    """Check the experiment, or run it, after a few replacements."""
    (tmp_path / "odd.py").write_text(FIELDS)
    monkeypatch.delitem(__import__("sys").modules, "odd", raising=False)

    def check(*changes, command=("check", "--deep")):
        text = toy.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        toy.write_text(text)
        return distill(command[0], toy, *command[1:], "--trust", "toy", "--trust", "odd")

    return check


BIG = [("  teacher:", "  big:"), ("teacher: teacher", "teacher: big")]
SCHEDULER = "    scheduler: !import_partial:torch.optim.lr_scheduler.{}\n    losses:\n"
NOTES = {
    "a model that nobody named": (BIG, "stages.0: `train` is omitted, so these models learn: big, student"),
    "a scheduler by epochs": (
        [("    losses:\n", SCHEDULER.format("CosineAnnealingLR {T_max: 300}"))],
        "stages.0.scheduler: CosineAnnealingLR has T_max=300, but it advances 3 times, once each epoch",
    ),
    "a scheduler by steps": (
        [("    losses:\n", "    scheduler_step: step\n" + SCHEDULER.format("CosineAnnealingLR {T_max: 3}"))],
        "stages.0.scheduler: CosineAnnealingLR has T_max=3, but it advances 9 times, once each step",
    ),
    "a plateau": (
        [("    losses:\n", SCHEDULER.format("ReduceLROnPlateau {mode: max}"))],
        "stages.0.scheduler: ReduceLROnPlateau with mode 'max' is given the mean training loss, which falls",
    ),
    "a last batch of one": (
        [("toy.points {split: train}", "odd.nine {}"), ("toy.Net {width: 4}", "odd.normed {width: 4}")],
        "stages.0: the last batch has one sample, from which BatchNorm in 'student' gets poor statistics or none",
    ),
}


LENGTHS = {
    "OneCycleLR {max_lr: 0.1}": "total_steps=9",
    "OneCycleLR {max_lr: 0.1, total_steps: 100%}": "total_steps=9",
    "CosineAnnealingLR {}": "T_max=9",
    "SequentialLR {schedulers: [!import_partial:torch.optim.lr_scheduler.LinearLR {}, !import_partial:torch.optim.lr_scheduler.CosineAnnealingLR {}], milestones: [34%]}": "LinearLR(total_iters=3), CosineAnnealingLR(T_max=6)",
}


@pytest.mark.parametrize("scheduler", LENGTHS)
def test_the_plan_shows_the_lengths_that_the_stage_gives(check, scheduler):
    ended = check(("    losses:\n", "    scheduler_step: step\n" + SCHEDULER.format(scheduler)))
    assert (ended.err, ended.code) == ("", 0)
    assert LENGTHS[scheduler] in ended.out.partition("stage 1/1: ")[2].partition("\n")[0]


def test_a_schedule_that_would_raise_is_refused_at_its_line(check):
    ended = check(
        ("    losses:\n", "    scheduler_step: step\n" + SCHEDULER.format("OneCycleLR {max_lr: 1, total_steps: 8}"))
    )
    assert ended.code == 2
    assert "OneCycleLR has 8 steps and raises after them, but it advances 9 times, once each step" in ended.err
    assert "(at stages.0.scheduler)" in ended.err


@pytest.mark.parametrize("name", NOTES)
def test_what_is_odd_is_noted(check, name):
    changes, note = NOTES[name]
    ended = check(*changes)
    assert (ended.err, ended.code) == ("", 0)
    assert f"  note    {note}" in ended.out


def test_nothing_is_noted_of_a_plain_stage(check):
    assert " note " not in check().out


def test_an_error_whose_text_has_the_word_meta_is_an_error(check):
    ended = check((f"loss: {CE}, inputs: {{input: student", "loss: !import_get:odd.failing, inputs: {input: student"))
    assert ended.code == 2
    assert "fails with input (16, 2), target (16,): ValueError: metadata, metamorphosis" in ended.err


@pytest.mark.parametrize("command", [("check", "--deep"), ("run",)])
@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("Wrapped", "'teacher' is a Output, not a tensor; it has the fields 'logits'"),
        ("Named", "'teacher' is a dict, not a tensor; it has the fields 'out', 'aux'"),
    ],
)
def test_a_structure_where_a_loss_wants_a_tensor(check, command, model, message):
    ended = check(("toy.Net {width: 16}", f"odd.{model} {{width: 16}}"), command=command)
    assert ended.code == 2
    assert message in ended.err
    assert "hint: tap one of them, 'teacher:out." in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [("check", "--deep"), ("run",)])
def test_one_output_is_refused(check, command):
    ended = check(
        ("toy.Net {width: 16}", "torch.nn.Linear [4, 1]"),
        ("toy.Net {width: 4}", "torch.nn.Linear [4, 1]"),
        ("      ce:", "      _ce:"),
        command=command,
    )
    assert ended.code == 2
    assert "losses.kd (KDLoss): a softmax over one output is always 1, so this loss teaches nothing" in ended.err


def test_a_loss_without_a_gradient_for_its_shapes_is_refused_at_its_inputs(check):
    ended = check(("{split: train}", "{split: train, batch_size: 1}"), ("losses.KDLoss {}", "losses.RKDLoss {}"))
    assert ended.code == 2
    assert ": RKDLoss: its gradient is always 0 for a batch of 1 sample (at stages.0.losses.kd.inputs)" in ended.err
    assert "  hint: increase `batch_size`\n" in ended.err


def test_a_constructor_that_looks_at_numbers_is_called_for_real(check):
    ended = check(("toy.Net {width: 4}", "odd.steps {width: 4}"))
    assert (ended.err, ended.code) == ("", 0)
    assert "student  10 of 10 parameters" in ended.out


DETECTOR = """
models:
  teacher: !import_call:torchvision.models.detection.fasterrcnn_mobilenet_v3_large_fpn {weights: null, weights_backbone: null}
  student: !import_call:torchvision.models.detection.FCOS
    backbone: !import_call:torchvision.models.detection.backbone_utils.resnet_fpn_backbone
      {backbone_name: resnet18, weights: null, returned_layers: [2, 3, 4]}
    num_classes: 3
    anchor_generator: !import_call:torchvision.models.detection.anchor_utils.AnchorGenerator
      {sizes: SIZES, aspect_ratios: RATIOS}
data: {train: !import_call:distill_vision.data.coco_detection {split: train, batch_size: 3}}
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.02}
    train: [student]
    feed: {student: {images: batch.input, targets: batch.target}, teacher: {images: batch.input}}
    losses:
      own: {loss: !import_call:distill_core.losses.ReportedLoss {}, inputs: {student: student}}
      pkt: {loss: !import_call:distill_core.losses.PKTLoss {}, inputs: {student: student.backbone.body.layer4, teacher: teacher.backbone.body.4}}
"""


@pytest.mark.parametrize("num_sizes", [3, 4])
def test_a_detector_fails_where_it_fails_in_a_run_and_stops_where_it_stops(distill, tmp_path, monkeypatch, num_sizes):
    pytest.importorskip("torchvision")
    pytest.importorskip("distill_vision")
    monkeypatch.chdir(tmp_path)
    text = DETECTOR.replace("SIZES", str([[8 * 2**n] for n in range(num_sizes)])).replace(
        "RATIOS", str([[1.0]] * num_sizes)
    )
    (tmp_path / "detector.yaml").write_text(text)
    ended = distill("check", "detector.yaml", "--deep")
    if num_sizes == 3:
        assert ended.code == 2
        assert "student (FCOS) fails on a batch of" in ended.err
        assert "AssertionError: Anchors should be" in ended.err
        return
    assert (ended.code, ended.err) == (0, "")
    assert "teacher  frozen, in eval mode, up to 'backbone.body.4' (module" in ended.out
