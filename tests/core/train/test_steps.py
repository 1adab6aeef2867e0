"""A stage of `steps`: it is a stage of epochs that ends after so many optimizer steps, killed or not."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from distill_core.errors import DistillError
from distill_core.experiment import StageProgress
from distill_core.schedules import Linear
from distill_core.train import Callback, Checkpoint, Evaluate, Stage, Trainer

from .killing import KillAt, KillError

BATCHES = 7  # of an epoch of the fixture: 50 samples in batches of 8


class Watch(Callback):
    """Records the student and the rate after each step."""

    def __init__(self):
        self.students, self.rates = [], []

    def on_step_end(self, run):
        self.students.append({name: tensor.clone() for name, tensor in run.models["student"].state_dict().items()})
        self.rates.append(run.run.optimizer.param_groups[0]["lr"])


def stage(experiment, **fields):
    first = experiment().stages[0]
    return Stage(**{"scheduler": None, **fields}).after(Stage(**{**vars(first), "epochs": None, "steps": None}))


def trained(run, **options):
    watch = Watch()
    results = Trainer(run, callbacks=[watch], **options).fit()
    return watch, results


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("steps", [1, 3, 7, 9])
def test_it_is_the_beginning_of_a_longer_stage(experiment, steps, accumulate):
    longer, _ = trained(experiment(stages=[stage(experiment, epochs=4, accumulate=accumulate)], callbacks=[]))
    shorter, results = trained(experiment(stages=[stage(experiment, steps=steps, accumulate=accumulate)], callbacks=[]))
    assert len(shorter.students) == steps == results["last"]["step"]
    assert all(map(same, shorter.students, longer.students))


def test_schedules_have_the_length_of_the_stage(experiment):
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR
    watch, _ = trained(experiment(stages=[stage(experiment, steps=10, scheduler=cosine)], callbacks=[]))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, rates = cosine(optimizer, T_max=10), []
    for _ in range(10):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert watch.rates == pytest.approx(rates)


def test_weights_follow_the_progress_to_the_end(experiment):
    seen = []

    def weight(progress: StageProgress) -> float:
        seen.append((progress.step, progress.steps, round(progress.epoch, 9)))
        return Linear(start=1.0, end=0.0)(progress)

    first = stage(experiment, steps=10)
    term = first.losses["ce"]
    losses = {"ce": type(term)(loss=term.loss, inputs=term.inputs, weight=weight)}
    trained(experiment(stages=[Stage(**{**vars(first), "losses": losses})], callbacks=[]))
    assert seen == [(step, 10, round(step / BATCHES, 9)) for step in range(10)]


def killable(experiment):
    """Two stages of steps: 10 of 7 batches an epoch, then 5 of two batches each; evaluations within epochs."""
    val = experiment().data["val"]
    return experiment(
        stages=[
            stage(experiment, steps=10, scheduler=torch.optim.lr_scheduler.CosineAnnealingLR),
            Stage(steps=5, accumulate=2, scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=2)),
        ],
        callbacks=[
            Evaluate(val, experiment().callbacks[0].evaluation.metrics, every_steps=2),
            Checkpoint(best="top1", every_steps=3),
        ],
        ema={"student": 0.9},
        log_every=3,
    )


def outcome(folder, run, results):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    log = [{key: value for key, value in line.items() if key != "samples_per_second"} for line in lines]
    return run.models["student"].state_dict(), log, {**results, "seconds": 0}


def test_killed_at_any_step_it_ends_where_the_undisturbed_run_does(experiment, tmp_path):
    undisturbed = killable(experiment)
    expected = outcome(tmp_path / "whole", undisturbed, Trainer(undisturbed, output=tmp_path / "whole").fit())
    assert [line["step"] for line in expected[1] if line["split"] == "val"] == [2, 4, 6, 7, 8, 10, 12, 14, 15]
    for step in range(3, 16):
        folder = tmp_path / str(step)
        with pytest.raises(KillError):
            Trainer(killable(experiment), output=folder, callbacks=[KillAt(step)]).fit()
        resumed = killable(experiment)
        student, log, results = outcome(folder, resumed, Trainer(resumed, output=folder).fit(resume=True))
        assert same(student, expected[0]), step
        assert (log, results) == expected[1:], step


def test_a_cut_stage_that_becomes_longer_continues_within_the_epoch(experiment, tmp_path):
    Trainer(experiment(stages=[stage(experiment, steps=10)], callbacks=[]), output=tmp_path).fit()
    longer = experiment(stages=[stage(experiment, steps=16)], callbacks=[])
    Trainer(longer, output=tmp_path).fit(resume=True, change=True)
    fresh = experiment(stages=[stage(experiment, steps=16)], callbacks=[])
    Trainer(fresh).fit()
    assert same(longer.models["student"].state_dict(), fresh.models["student"].state_dict())


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"epochs": 1, "steps": 1}, {}, "stages.0.steps: `epochs` and `steps` exclude each other"),
        ({}, {"epochs": 1}, "stages.0: the first stage needs 'epochs' or 'steps'"),
        ({"epochs": 1}, {"epochs": None}, "stages.1: the stage needs 'epochs' or 'steps'"),
        ({"epochs": 1, "scheduler_step": "epoch"}, {"steps": 1, "scheduler": len}, "stages.1: `scheduler_step: epoch`"),
    ],
)
def test_each_stage_has_one_length(experiment, first, second, message):
    bare = {**vars(experiment().stages[0]), "epochs": Stage().epochs, "scheduler": None}
    with pytest.raises(DistillError) as error:
        Trainer(experiment(stages=[Stage(**{**bare, **first}), Stage(**second)]))
    assert str(error.value).startswith(message)


def test_a_stage_replaces_the_length_that_it_inherits(experiment):
    stages = [stage(experiment, steps=4), Stage(epochs=1), Stage(), Stage(steps=2)]
    trainer = Trainer(experiment(stages=stages, callbacks=[]))
    assert [(stage.epochs, stage.steps) for stage in trainer.stages] == [(None, 4), (1, None), (1, None), (None, 2)]
    assert trainer.fit()["last"]["step"] == 4 + BATCHES + BATCHES + 2
