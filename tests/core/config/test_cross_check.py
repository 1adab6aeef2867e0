"""Contradictions between parts of a file, found without importing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill_core.cli._load import SCHEMAS
from distill_core.config import check, cross_check, read, trusted
from distill_core.experiment import Experiment

EVALUATE = "- !import_call:distill_core.train.Evaluate {loader: x, metrics: {share: {}}}\n"
CHECKPOINT = "- !import_call:distill_core.train.Checkpoint {best: %s}\n"


def _messages(text):
    Path("run.yaml").write_text(text, encoding="utf-8")
    return [problem.message for problem in cross_check(read("run.yaml"), ())]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("stages", "options"),
    [
        ("- {optimizer: !import_partial:torch.optim.SGD {lr: 1}, groups: {a: {lr: 1, momentum: 0.9}}}", []),
        ("- {optimizer: !import_partial:torch.optim.SGD {lr: 1}, groups: {a: {betas: [0, 0]}}}", ["betas"]),
        ("- {optimizer: !import_get:torch.optim.SGD , groups: {a: {lrr: 1}}}", ["lrr"]),
        ("- {optimizer: !import_partial:torch.optim.Adam {lr: 1}}\n- {groups: {a: {momentum: 1}}}", ["momentum"]),
        ("- {optimizer: !import_partial:distill_core.optim.DOT {lr: 1}, groups: {a: {delta: 0, dleta: 0}}}", ["dleta"]),
        ("- {optimizer: !import_partial:torch.optim.SGD {lr: 1}, groups: {a: {params: []}}}", ["params"]),
        ("- {optimizer: !import_partial:toy.Mine {lr: 1}, groups: {a: {anything: 1}}}", []),
    ],
)
def test_options_of_groups(stages, options):
    found = _messages(f"models: {{}}\ndata: {{}}\nstages:\n{stages}\n")
    assert [message.rpartition(" ")[2].strip("'") for message in found] == options


LR = "!import_partial:torch.optim.lr_scheduler"


@pytest.mark.parametrize(
    ("scheduler", "expected"),
    [
        (f"{LR}.StepLR {{step_size: 5%}}", []),
        (f"{LR}.StepLR {{step_size: 5 %}}", ["`step_size` must be a number >= 1 or a share of the stage, got '5 %'"]),
        (f"{LR}.StepLR {{step_size: 120%}}", ["`step_size` is 120% of the stage, but a share is from 0% to 100%"]),
        (f"{LR}.StepLR {{step_size: tenth}}", ["`step_size` must be a number >= 1 or a share of the stage, got 'tenth'"]),
        (f"{LR}.StepLR {{step_size: 0%}}", ["`step_size` must be a number >= 1 or a share of the stage, got '0%'"]),
        (f"{LR}.StepLR {{step_size: 0}}", ["`step_size` must be a number >= 1 or a share of the stage, got 0"]),
        (f"{LR}.MultiStepLR {{milestones: [0%, 40%, 100%]}}", []),
        (f"{LR}.MultiStepLR {{milestones: [5, -5%]}}", ["`milestones` must be a number >= 0 or a share of the stage, got '-5%'"]),
        (
            f"{LR}.SequentialLR {{schedulers: [{LR}.StepLR {{step_size: 101%}}], milestones: [10%]}}",
            ["`step_size` is 101% of the stage, but a share is from 0% to 100%"],
        ),
        ("!import_partial:toy.mine {step_size: !import_call:toy.size {}, name: 120 %}", []),
    ],
)  # fmt: skip
def test_lengths_of_schedulers(scheduler, expected):
    assert _messages(f"models: {{}}\ndata: {{}}\nstages:\n- {{scheduler: {scheduler}}}\n") == expected


@pytest.mark.parametrize(
    ("callbacks", "count"),
    [
        (EVALUATE + CHECKPOINT % "share", 0),
        (EVALUATE + CHECKPOINT % "share.top5", 0),
        (EVALUATE + CHECKPOINT % "top5", 1),
        (CHECKPOINT % "share" + EVALUATE, 1),
        (EVALUATE + CHECKPOINT % "'share', split: test", 1),
        ("- !import_call:toy.Mine {}\n" + CHECKPOINT % "top5", 0),
        ("- !import_call:distill_core.train.Evaluate {loader: x, metrics: !include m.yaml}\n" + CHECKPOINT % "top5", 1),
    ],
)
def test_best_is_measured(callbacks, count):
    Path("m.yaml").write_text("share: {}\n")
    assert len(_messages(f"models: {{}}\ndata: {{}}\nstages: []\ncallbacks:\n{callbacks}")) == count


OPTIMIZER = "!import_partial:torch.optim"


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (f"{OPTIMIZER}.SGD {{lr: x}}", ["'lr' takes a number, not the string 'x'"]),
        (f"{OPTIMIZER}.SGD {{lr: true, momentum: 0, nesterov: maybe}}", ["'lr' takes a number, not true", "'nesterov' takes true or false, not the string 'maybe'"]),
        (f"{OPTIMIZER}.AdamW {{lr: 1, betas: [0.9, high]}}", ["element 1 takes a number, not the string 'high'"]),
        (f"{OPTIMIZER}.Adam {{lr: [1]}}", ["'lr' takes a number, not a list"]),
        (f"{LR}.CosineAnnealingLR {{T_max: 100%, eta_min: low}}", ["'eta_min' takes a number, not the string 'low'"]),
        (f"{LR}.MultiStepLR {{milestones: [10, 50%], gamma: 0.1}}", []),
        (f"{LR}.ReduceLROnPlateau {{mode: maximum}}", ["'mode' takes 'min' or 'max', not the string 'maximum'"]),
        ("!import_call:torch.nn.CrossEntropyLoss {label_smoothing: x}", ["'label_smoothing' takes a number, not the string 'x'"]),
        ("!import_call:torch.nn.Linear [two, 2]", ["element 0 takes an integer, not the string 'two'"]),
        ("!import_call:torch.nn.Conv2d {in_channels: 3, out_channels: 4, kernel_size: [3, 3], padding: same}", []),
        ("!import_call:torch.nn.Dropout {p: 0.1, inplace: false}", []),
        ("!import_partial:transformers.get_cosine_schedule_with_warmup {num_warmup_steps: 5%, num_cycles: few}", ["'num_cycles' takes a number, not the string 'few'"]),
        ("!import_call:distill_core.losses.KDLoss {temperature: hot}", ["'temperature' takes a number, not the string 'hot'"]),
    ],
)  # fmt: skip
def test_words_and_lists_where_a_number_belongs(value, messages):
    Path("run.yaml").write_text(f"models: {{}}\ndata: {{}}\nstages: []\n_x: {value}\n", encoding="utf-8")
    document = read("run.yaml")
    assert [problem.message for problem in check(document, Experiment, SCHEMAS)] == messages


def test_words_in_the_options_of_a_group():
    stage = "- {optimizer: !import_partial:torch.optim.SGD {lr: 1}, groups: {a: {lr: x, momentum: 0.9}}}"
    assert _messages(f"models: {{}}\ndata: {{}}\nstages:\n{stage}\n") == ["'lr' takes a number, not the string 'x'"]


LOSS = "{loss: %s, inputs: {%s}}"
KD = "!import_call:KDLoss {temperature: 4}"
MINE = """
from torch import nn
raise RuntimeError("imported")
class Base(nn.Module):
    def forward(self, student, teacher): ...
class Mine(Base): ...
class Open(nn.Module):
    def forward(self, **tensors): ...
class Assigned(nn.Module):
    forward = len
class OfObject(Base):
    def __init__(self): self.forward = self.other
class Set(Base):
    def __init__(self): setattr(self, "forward", self.other)
class Conditional(Base):
    if nn:
        def forward(self, anything): ...
class Called(Base):
    def __call__(self, anything): ...
class Other(Base):
    def __new__(cls): return Open()
class Left(Base): ...
class Right(Base):
    def forward(self, anything): ...
class Both(Left, Right): ...
def function(student, teacher, scale): ...
"""


@pytest.mark.parametrize(
    ("loss", "inputs", "found"),
    [
        (KD, "student: student, teacher: teacher", []),
        (KD, "studnet: student, teacher: teacher", ["KDLoss.forward() has no parameter 'studnet'", "KDLoss.forward() needs the argument 'student'"]),
        (KD, "student: student", ["KDLoss.forward() needs the argument 'teacher'"]),
        ("!import_call:distill_core.losses.KDLoss {}", "student: student, teacher: teacher, targt: batch.target", ["KDLoss.forward() has no parameter 'targt'"]),
        ("!import_call:torch.nn.CrossEntropyLoss {}", "input: student, taget: batch.target", ["CrossEntropyLoss.forward() has no parameter 'taget'", "CrossEntropyLoss.forward() needs the argument 'target'"]),
        ("!import_get:torch.nn.functional.mse_loss", "input: student, tagret: teacher", ["mse_loss() has no parameter 'tagret'", "mse_loss() needs the argument 'target'"]),
        ("!import_call:mine.Mine {}", "student: student, techer: teacher", ["Mine.forward() has no parameter 'techer'", "Mine.forward() needs the argument 'teacher'"]),
        ("!import_call:mine.Open {}", "anything: student", []),
        *((f"!import_call:mine.{name} {{}}", "anything: student", []) for name in ("Assigned", "OfObject", "Set", "Conditional", "Called", "Other", "Both")),
        ("!import_partial:mine.function {scale: 2}", "student: student, teacher: teacher", []),
        ("!import_partial:mine.function [2]", "student: student, scale: teacher", ["function() has no parameter 'student'", "function() needs the argument 'teacher'"]),
        ("!import_call:mine.function {}", "anything: student", []),
    ],
)  # fmt: skip
def test_names_of_the_inputs_of_a_loss(loss, inputs, found):
    Path("mine.py").write_text(MINE)
    text = f"models: {{}}\ndata: {{}}\nstages:\n- losses:\n    kd: {LOSS % (loss, inputs)}\n"
    Path("run.yaml").write_text(text, encoding="utf-8")
    document = read("run.yaml")
    problems = list(cross_check(document, trusted(document, ("mine",))))
    assert [problem.message for problem in problems] == found
    assert {(problem.location.line, problem.key) for problem in problems} <= {(5, "stages.0.losses.kd.inputs")}


def test_the_arguments_of_a_class_with_several_bases_are_not_known():
    Path("mine.py").write_text(
        MINE + "class Mixin: ...\nclass Sized:\n    def __init__(self, size): ...\nclass Two(Mixin, Sized): ...\n"
    )
    Path("run.yaml").write_text("models: {student: !import_call:mine.Two {size: 3}}\ndata: {}\nstages: []\n")
    document = read("run.yaml")
    trust = trusted(document, ("mine",))
    found = [*check(document, Experiment, {}, trust), *cross_check(document, trust)]
    assert [problem.message for problem in found if "size" in problem.message] == []


def test_a_misspelled_input_has_the_closest_name_as_hint():
    Path("run.yaml").write_text(f"stages: [{{losses: {{kd: {LOSS % (KD, 'student: s, teachr: t')}}}}}]\n")
    problem, _ = cross_check(read("run.yaml"), ())
    assert problem.hint == "did you mean 'teacher'?"


def test_names_of_the_inputs_of_a_metric_and_of_a_model():
    metric = "{metric: !import_call:distill_vision.metrics.Accuracy {}, inputs: {pred: student}}"
    found = _messages(
        "models: {student: !import_call:torch.nn.Linear [2, 2]}\ndata: {}\n"
        "stages: [{feed: {student: {inptu: batch.input}}}]\n"
        f"callbacks: [!import_call:distill_core.train.Evaluate {{loader: x, metrics: {{a: {metric}}}}}]\n"
        f"test: {{loader: x, metrics: {{a: {metric}}}, feed: {{student: {{inptu: batch.input}}}}}}\n"
    )
    of_model = ["Linear.forward() has no parameter 'inptu'", "Linear.forward() needs the argument 'input'"]
    of_metric = ["Accuracy.update() has no parameter 'pred'", "Accuracy.update() needs the arguments 'preds', 'target'"]
    assert sorted(found) == sorted(2 * (of_model + of_metric))
