"""Experiments that the trainer refuses, and runs that it stops, with the reason in the message."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.errors import TrainingError, WiringError
from distill_core.train import Stage, Term, Trainer

from .state_dicts import copy_of


def test_tensors_without_gradient_are_named(experiment, caplog):
    terms = {"hint": Term(loss=nn.MSELoss(), inputs={"input": "student.2", "target": "student.0"})}
    Trainer(experiment(stages=[Stage(losses=terms).after(experiment().stages[0])], callbacks=())).fit()
    assert [message for message in caplog.messages if "BatchNorm" not in message] == [
        "no loss reaches these trainable tensors, which will not learn in stage 0: student.4.weight, student.4.bias"
    ]


def test_not_finite_loss_stops_the_run(experiment):
    run = experiment()
    stage = Stage(optimizer=partial(torch.optim.SGD, lr=1e30)).after(run.stages[0])
    run = experiment(stages=[stage])
    with pytest.raises(TrainingError) as error:
        Trainer(run).fit()
    assert str(error.value) == (
        "stage 0, epoch 1, batch 1: the gradients or buffers are not finite; the update was withheld\n"
        "  losses: ce nan, kd nan\n"
        "  samples of process 0: 19, 41, 17, 43, 33, 38, 31, 4\n"
        "  hint: a lower learning rate, clip_grad_norm, or `nonfinite: skip`"
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"train": ["studnet"]},
            "stages.0.train: the glob 'studnet' matches no parameter\n  hint: did you mean 'student'?",
        ),
        (
            {"groups": {"losses.kx": {"lr": 0.1}}},
            "stages.0.groups: the glob 'losses.kx' matches no parameter\n  hint: did you mean 'losses.kd'?",
        ),
        (
            {"train": []},
            "stages.0.train: the list is empty, so nothing would be trained\n"
            "  hint: omit `train` to train all losses and every model whose name does not begin with 'teacher'",
        ),
        (
            {"train": ["student", "!student"]},
            "stages.0.train chooses no parameter, so nothing would learn\n"
            "  hint: name a model or a loss that has parameters, such as `student`",
        ),
        (
            {"losses": {}},
            "stages.0.losses: a stage has no losses\n  hint: give at least one under `losses`",
        ),
        (
            {"losses": {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "studnet", "target": "batch.target"})}},
            "losses.ce: 'studnet' names no model 'studnet'\n  hint: did you mean 'student'?",
        ),
        (
            {"losses": {"ce": Term(loss=lambda logits: logits, inputs={"logits": "student"})}},
            "losses.ce: function gave a tensor of shape (8, 3), and a loss is one number (a 0-dim tensor)",
        ),
        (
            {"feed": {"student": {"input": "teacher"}, "teacher": {"input": "student"}}},
            "feed.teacher: 'student' is known only after 'student' has run\n  hint: list 'student' before 'teacher' under models",
        ),
    ],
)
def test_mistakes_are_named(experiment, change, sentence):
    stage = Stage(**change).after(experiment().stages[0])
    with pytest.raises(WiringError) as error:
        Trainer(experiment(stages=[stage], callbacks=())).fit()
    assert str(error.value) == sentence


@pytest.mark.parametrize("name", ["student", "teacher"])
@pytest.mark.parametrize(
    ("model", "kind"), [(nn.Linear, "the class Linear"), (copy_of, "a function"), (None, "a NoneType")]
)
def test_a_model_that_is_not_a_module_is_refused(experiment, tmp_path, name, model, kind):
    made = experiment()
    with pytest.raises(WiringError) as error:
        Trainer(replace(made, models={**made.models, name: model}), output=tmp_path / "run")
    assert str(error.value) == (
        f"models.{name}: '{name}' must be an nn.Module, got {kind}\n  hint: create the model before the experiment"
    )
    assert not (tmp_path / "run").exists()


def test_first_stage_must_be_whole(experiment):
    with pytest.raises(WiringError) as error:
        Trainer(experiment(stages=[Stage(epochs=1)]))
    assert str(error.value) == "stages.0: the first stage needs 'losses'"


def test_optimizer_that_leaves_a_tensor_out_is_refused(experiment):
    def forgetful(groups, lr):
        return torch.optim.SGD(groups[0]["params"][:-1], lr=lr)

    stage = Stage(optimizer=partial(forgetful, lr=0.1)).after(experiment().stages[0])
    with pytest.raises(TrainingError, match=r"^these tensors are in no group of the optimizer: losses.kd.scale$"):
        Trainer(experiment(stages=[stage], callbacks=())).fit()
