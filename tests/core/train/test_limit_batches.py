"""A quick pass over a complete file, and the norm of the gradients in the log."""

from __future__ import annotations

import pytest
import torch

from distill_core.train import Callback, Evaluate, Metric, Stage, Trainer


class Log(Callback):
    def __init__(self):
        self.records = []

    def on_log(self, run, record):
        self.records.append(record)


class Count:
    """The number of samples that are measured."""

    def reset(self):
        self.count = 0

    def update(self, preds):
        self.count += len(preds)

    def compute(self):
        return float(self.count)


@pytest.mark.parametrize(
    ("stage", "limit", "steps"),
    [
        ({"epochs": 9}, 3, 3),
        ({"epochs": 9}, 99, 7),  # an epoch has 7 batches: it is the longest that a stage gets
        ({"epochs": 9, "accumulate": 2}, 3, 2),
        ({"steps": 2}, 3, 2),
        ({"steps": 50}, 3, 3),
    ],
)
def test_each_stage_and_evaluation_ends_after_that_number_of_batches(experiment, stage, limit, steps):
    first = Stage(**stage).after(experiment().stages[0])
    if "steps" in stage:
        first = Stage(scheduler=None).after(first)
    metrics = {"count": Metric(metric=Count(), inputs={"preds": "student"})}
    evaluate = Evaluate(experiment().data["val"], metrics)
    trainer = Trainer(experiment(stages=[first, Stage()], callbacks=[evaluate], limit_batches=limit))
    trainer.fit()
    assert trainer.state.step == 2 * steps
    assert trainer.state.measured["val"]["count"] == min(20, 8 * limit)


@pytest.mark.parametrize("clip", [None, 0.01])
def test_the_norm_is_that_of_all_gradients_before_they_are_clipped(experiment, clip):
    norms = []

    class Watch(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
            norms.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
            return super().step(closure)

    def run(**options):
        log = Log()
        stage = Stage(epochs=1, clip_grad_norm=clip, optimizer=lambda groups: Watch(groups, lr=0.1)).after(
            experiment().stages[0]
        )
        trainer = Trainer(experiment(stages=[stage], callbacks=[log], log_every=1, **options))
        trainer.fit()
        return [each for each in log.records if each["split"] == "train"], trainer.models["student"].state_dict()

    (lines, weights), (plain, same) = run(log_grad_norm=True), run()
    logged = [each["grad_norm"] for each in lines]
    assert len(logged) == 7
    assert not any("grad_norm" in each for each in plain)
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    if clip is None:
        assert logged == pytest.approx(norms[:7])
    else:
        assert min(logged) > clip
        assert norms[:7] == pytest.approx([clip] * 7, rel=1e-3)
