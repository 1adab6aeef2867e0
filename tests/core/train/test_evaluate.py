from __future__ import annotations

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import TrainingError, WiringError
from distill_core.train import Callback, Evaluate, Evaluation, Metric, Trainer, evaluate


class Mean:
    """The mean of what it sees; a mapping if it is given names."""

    def __init__(self, compute=lambda value: value):
        self.last = compute
        self.reset()

    def reset(self):
        self.seen = []

    def update(self, value):
        self.seen.append(value)

    def compute(self):
        return self.last(torch.cat(self.seen).mean())


def evaluation(compute=lambda value: value, tap="student.0"):
    data = TensorData({"input": torch.arange(10.0)[:, None]})
    return Evaluation(loader=Loader(data, 4), metrics={"mean": Metric(metric=Mean(compute), inputs={"value": tap})})


def model():
    return nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5), nn.BatchNorm1d(1))


def test_runs_in_eval_mode_without_gradients_and_leaves_the_model_as_it_was():
    student = model().train()
    student[1].eval()
    modes = [module.training for module in student.modules()]
    statistics = student[2].running_mean.clone()
    measured = evaluate({"student": student}, evaluation())
    expected = student[0](torch.arange(10.0)[:, None]).mean()
    assert measured["mean"] == pytest.approx(expected.item())
    assert [module.training for module in student.modules()] == modes
    assert torch.equal(student[2].running_mean, statistics)
    assert not student[0]._forward_hooks


def test_a_metric_may_compute_several_values():
    measured = evaluate({"student": model()}, evaluation(lambda value: {"a": 1, "b": value * 0}))
    assert measured == {"mean.a": 1.0, "mean.b": 0.0}


def test_what_is_no_number_is_refused():
    with pytest.raises(TrainingError) as error:
        evaluate({"student": model()}, evaluation(lambda value: [value]))
    assert str(error.value) == "metrics.mean: Mean gave list, not a number"


def test_taps_and_parameters_are_checked():
    with pytest.raises(WiringError, match=r"student \(Sequential\) has no module '7'"):
        evaluate({"student": model()}, evaluation(tap="student.7"))
    with pytest.raises(
        WiringError, match=r"metrics.mean: 'studnet' names no model 'studnet'\n  hint: did you mean 'student'\?"
    ):
        evaluate({"student": model()}, evaluation(tap="studnet"))


def test_every_few_epochs_and_after_the_last(experiment):
    run = experiment()
    base = run.callbacks[0].evaluation
    epochs = []

    class Watch(Callback):
        def on_log(self, trainer, record):
            if record["split"] == "held out":
                epochs.append(record["epoch"])

    stage = run.stages[0].__class__(epochs=5).after(run.stages[0])
    callbacks = [Evaluate(base.loader, base.metrics, every=2, split="held out"), Watch()]
    Trainer(experiment(stages=[stage], callbacks=callbacks)).fit()
    assert epochs == [2, 4, 5]


class Confusion(Mean):
    """A metric of pairs of equal shape."""

    def update(self, preds, target):
        if preds.shape != target.shape:
            raise ValueError("another shape")
        self.seen.append((preds == target).float())


@pytest.mark.parametrize("of", ["test", "callback"])
def test_a_metric_that_does_not_fit_is_refused_before_training(experiment, of):
    steps = []

    class Count(Callback):
        def on_step_end(self, run):
            steps.append(run.state.step)

    base = experiment()
    wrong = Evaluation(
        loader=base.data["train"],
        metrics={"same": Metric(metric=Confusion(), inputs={"preds": "student", "target": "batch.target"})},
    )
    given = {"test": wrong} if of == "test" else {}
    callbacks = (Count(),) if of == "test" else (Count(), Evaluate(wrong.loader, wrong.metrics))
    with pytest.raises(
        TrainingError, match=r"^metrics.same: Confusion cannot measure a batch of preds \(.*another shape"
    ):
        Trainer(experiment(callbacks=callbacks, **given)).fit()
    assert steps == []


def test_the_first_batch_of_an_evaluation_draws_no_random_number_and_is_not_counted(experiment):
    def weights(**options):
        trainer = Trainer(experiment(callbacks=(), **options))
        results = trainer.fit()
        return results, trainer.models["student"].state_dict()

    entry = Metric(metric=Mean(), inputs={"value": "student"})
    loader = Loader(TensorData({"input": experiment().data["train"].dataset.tensors["input"]}), 4)
    (tested, with_test), (_, without) = weights(test=Evaluation(loader=loader, metrics={"mean": entry})), weights()
    assert all(torch.equal(with_test[name], without[name]) for name in without)
    assert tested["test"]["mean"] == pytest.approx(evaluate(
        {"student": Trainer(experiment(callbacks=())).models["student"]}, Evaluation(loader=loader, metrics={"mean": entry})
    )["mean"], abs=10)  # fmt: skip
