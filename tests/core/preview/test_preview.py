"""A preview in Python: a record of what a run will do, computed without data and without changing the models."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from distill_core.data import Loader, with_example
from distill_core.experiment import Evaluation, Experiment, Metric, SourceSettings, Stage, Term
from distill_core.losses import KDLoss
from distill_core.preview import Preview, preview
from distill_core.train import Evaluate, Trainer

LR = torch.optim.lr_scheduler
CE = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"}, weight=0.5)
HINT = Term(loss=nn.MSELoss(), inputs={"input": "student.0", "target": "teacher.0"})


class Unreadable(Dataset):
    """Samples that must not be read."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        raise AssertionError("a sample is read")


@with_example(lambda batch_size: {"input": torch.empty(batch_size, 4), "target": torch.empty(batch_size).long()})
def unreadable(batch_size):
    return Loader(Unreadable(), batch_size)


class Accuracy:
    def reset(self):
        pass

    def update(self, preds, target):
        pass

    def compute(self):
        return 0.0


def net(width):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))


def experiment(terms=None, data=None, **changes):
    stage = {"epochs": 3, "optimizer": partial(torch.optim.SGD, lr=0.1), "losses": terms or {"ce": CE, "hint": HINT}}
    return Experiment(
        models={"teacher": net(8), "student": net(8)},
        data={"train": data or partial(unreadable, 6)},
        stages=[Stage(**stage, **changes)],
    )


def test_the_record_of_a_stage_without_data():
    found = preview(experiment())
    assert isinstance(found, Preview)
    assert found.problems == ()
    assert [(model.name, model.kind, model.num_parameters) for model in found.models] == [
        ("teacher", "Sequential", 4 * 8 + 8 + 8 * 2 + 2),
        ("student", "Sequential", 4 * 8 + 8 + 8 * 2 + 2),
    ]
    [stage] = found.stages
    assert (stage.index, stage.epochs, stage.optimizer, stage.scheduler) == (0, 3, "SGD(lr=0.1)", "")
    assert [(term.name, term.loss, term.weight) for term in stage.terms] == [
        ("ce", "CrossEntropyLoss", 0.5),
        ("hint", "MSELoss", 1.0),
    ]
    assert {tap.tap: (tap.shape, tap.dtype) for tap in stage.taps} == {
        "student": ("(6, 2)", "float32"),
        "student.0": ("(6, 8)", "float32"),
        "teacher.0": ("(6, 8)", "float32"),
        "batch.target": ("(6,)", "int64"),
    }
    assert [(each.name, each.num_trainable) for each in stage.trainable] == [("teacher", 0), ("student", 58)]
    teacher, student = stage.forwards
    assert (teacher.model, teacher.frozen, teacher.mode, teacher.last_module) == ("teacher", True, "eval", "0")
    assert (teacher.num_run, teacher.num_modules) == (1, 3)
    # A linear layer costs 2 · batch · inputs · outputs operations.
    assert (teacher.flops, teacher.complete_flops) == (2 * 6 * 4 * 8, 2 * 6 * (4 * 8 + 8 * 2))
    assert (student.frozen, student.last_module) == (False, "")


def test_models_of_the_experiment_do_not_change():
    given = experiment()
    before = copy.deepcopy(given.models)
    preview(given)
    for name, model in given.models.items():
        assert model.training
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        for (key, now), then in zip(model.named_parameters(), before[name].parameters(), strict=True):
            assert (now.requires_grad, now.grad, now.device.type) == (True, None, "cpu"), key
            assert torch.equal(now, then)


def test_a_run_after_a_preview_gives_what_it_gives_without():
    def trained(*, previewed):
        torch.manual_seed(0)
        data = torch.utils.data.TensorDataset(torch.randn(12, 4), torch.randint(0, 2, (12,)))
        given = experiment(data=Loader(data, 4, shuffle=True))
        if previewed:
            assert preview(given).problems == ()
        Trainer(given).fit()
        return given.models["student"].state_dict()

    with_preview, without = trained(previewed=True), trained(previewed=False)
    assert all(torch.equal(with_preview[name], without[name]) for name in without)


def test_lengths_of_the_scheduler_follow_from_the_loader():
    data = torch.utils.data.TensorDataset(torch.zeros(12, 4), torch.zeros(12, dtype=torch.long))
    scheduler = {"scheduler": partial(LR.OneCycleLR, max_lr=0.1), "scheduler_step": "step"}
    [stage] = preview(experiment(data=Loader(data, 4), **scheduler)).stages
    assert stage.scheduler == "OneCycleLR(max_lr=0.1, total_steps=9)"  # 3 epochs of 12 / 4 batches
    [stage] = preview(experiment(**scheduler)).stages  # the length of data that are not read is not known
    assert stage.scheduler == "OneCycleLR(max_lr=0.1)"


PROBLEMS = {
    "a module": (
        {"hint": Term(loss=nn.MSELoss(), inputs={"input": "student.9", "target": "teacher.0"})},
        {},
        "stages.0.losses.hint.inputs.input",
        "student (Sequential) has no module '9'",
    ),
    "a shape": (
        {"hint": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "teacher.0"})},
        {},
        "stages.0.losses.hint.inputs",
        "losses.hint (MSELoss) fails with input (6, 2), target (6, 8): RuntimeError: ",
    ),
    "a batch field": (
        {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.label"})},
        {},
        "stages.0.losses.ce.inputs",
        "'batch.label': the batch has no field 'label'",
    ),
    "a parameter of a loss": (
        {"ce": Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "targets": "batch.target"})},
        {},
        "stages.0.losses.ce.inputs",
        "CrossEntropyLoss.forward(input, target) has no parameter 'targets'",
    ),
    "what learns": (None, {"train": ["student.7"]}, "stages.0.train", "the glob 'student.7' matches no parameter"),
    "a scheduler": (
        None,
        {"scheduler": partial(LR.CosineAnnealingLR, T_max="200%")},
        "stages.0.scheduler",
        "200% of the stage",
    ),
    "a separate gradient": (
        {"ce": CE, "kd": Term(loss=KDLoss(), inputs={"student": "student", "teacher": "teacher"}, separate_gradient=True)},
        {},
        "stages.0.losses.kd",
        "SGD",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_have_a_key_and_do_not_raise(name):
    terms, changes, key, message = PROBLEMS[name]
    found = preview(experiment(terms, **changes))
    assert [problem.key for problem in found.problems] == [key], found.problems
    assert message in found.problems[0].message
    assert "hint:" not in found.problems[0].message
    assert found.problems[0].location is None


def test_a_problem_of_an_inherited_field_has_the_key_of_the_stage_that_sets_it():
    given = experiment({"hint": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "teacher.0"})})
    stages = [*given.stages, Stage(epochs=1), Stage(epochs=1)]
    found = preview(Experiment(models=given.models, data=given.data, stages=stages))
    assert [problem.key for problem in found.problems] == ["stages.0.losses.hint.inputs"]


def test_problems_before_any_stage():
    given = experiment()
    found = preview(Experiment(models=given.models, data=given.data, stages=given.stages, ema={"studnet": 0.9}))
    assert [problem.key for problem in found.problems] == ["ema"]
    found = preview(Experiment(models=given.models, data=given.data, stages=[]))
    assert len(found.problems) == 1


def test_metrics_and_how_a_teacher_runs():
    evaluation = Evaluate(
        loader=partial(unreadable, 6),
        metrics={
            "top1": Metric(metric=Accuracy(), inputs={"preds": "student", "target": "batch.target"}),
            "top5": Metric(metric=Accuracy(), inputs={"preds": "student", "target": "batch.targets"}),
        },
    )
    given = experiment()
    test = Evaluation(loader=partial(unreadable, 2), metrics={"top1": evaluation.evaluation.metrics["top1"]})
    sources = {"teacher": SourceSettings(precision="bf16")}
    found = preview(
        Experiment(
            models=given.models,
            data=given.data,
            stages=given.stages,
            callbacks=[evaluation],
            test=test,
            sources=sources,
        )
    )
    assert [(each.split, each.name, each.kind) for each in found.metrics] == [
        ("val", "top1", "Accuracy"),
        ("val", "top5", "Accuracy"),
        ("test", "top1", "Accuracy"),
    ]
    assert [problem.key for problem in found.problems] == ["callbacks.0.metrics.top5.inputs"]
    assert found.stages[0].forwards[0].settings.precision == "bf16"


def test_averages_are_models():
    given = experiment({"ce": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "student_ema"})})
    found = preview(Experiment(models=given.models, data=given.data, stages=given.stages, ema={"student": 0.9}))
    assert found.problems == ()
    assert [model.name for model in found.models] == ["teacher", "student", "student_ema"]
    assert list(given.models) == ["teacher", "student"]


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo):
        raise TypeError("no copies")


def test_a_model_that_cannot_be_copied_is_a_problem():
    given = experiment({"ce": CE})
    found = preview(Experiment(models={"student": Uncopyable(4, 2)}, data=given.data, stages=given.stages))
    assert len(found.problems) == 1
    assert "TypeError: no copies" in found.problems[0].message


def test_models_with_shared_and_lazy_parameters():
    student = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))
    given = experiment({"ce": Term(loss=nn.MSELoss(), inputs={"input": "student", "target": "head"})})
    models = {"student": student, "head": nn.Sequential(nn.Linear(4, 3), student[1])}
    found = preview(Experiment(models=models, data=given.data, stages=given.stages))
    assert found.problems == ()
    assert [(each.name, each.num_trainable) for each in found.stages[0].trainable] == [("student", 23), ("head", 23)]
