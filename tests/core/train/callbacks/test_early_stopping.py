"""A stage ends when a metric no longer improves, killed or not."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.config import cross_check, read
from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, EarlyStopping, Evaluate, Metric, Stage, Trainer

from ..killing import KillAt, KillError

NAN = float("nan")


class Scripted(Callback):
    """A metric with one value for each optimizer step, and so the same in a resumed run; it is a callback to see the step."""

    def __init__(self, values):
        self.values, self.step = values, 0

    def reset(self):
        pass

    def update(self, preds):
        pass

    def on_stage_start(self, run):
        self.run = run

    def compute(self):
        return self.values[self.run.state.step]


def make(experiment, values, *, stages=None, every_steps=None, **options):
    """One epoch is one step, unless `stages` says otherwise."""
    scripted = Scripted(values)
    first = Stage(epochs=len(values) - 1, scheduler=None).after(experiment().stages[0])
    metrics = {"score": Metric(metric=scripted, inputs={"preds": "student"})}
    evaluate = Evaluate(experiment().data["val"], metrics, every_steps=every_steps)
    options.setdefault("patience", 2)
    return experiment(
        stages=[first] if stages is None else [stages[0].after(first), *stages[1:]],
        callbacks=[scripted, evaluate, EarlyStopping("score", **options), Checkpoint(best="score")],
        batch_size=8 if stages else 50,
    )


@pytest.mark.parametrize(
    ("values", "options", "step"),
    [
        ([1, 2, 3, 2, 2, 9], {}, 5),
        ([1, 2, 3, 2, 4, 3, 3, 9], {}, 7),  # an improvement begins the count anew
        ([3, 2, 1, 2, 2, 0], {"mode": "min"}, 5),
        ([1, 1.5, 1.9, 2.4, 9], {"min_change": 1.0}, 3),
        ([1, 1, 1, 9], {}, 3),  # an equal value is not an improvement
        ([1, NAN, 2, NAN, NAN, 9], {}, 5),
        ([1, 2, 2, 9], {"patience": 1}, 3),
    ],
)
def test_it_stops_after_evaluations_without_an_improvement(experiment, tmp_path, values, options, step):
    results = Trainer(make(experiment, [0, *values], **options), output=tmp_path).fit()
    assert results["last"]["step"] == step
    assert [(record["stage"], record["epoch"], record["step"]) for record in results["stopped"]] == [(0, step, step)]
    assert json.loads((tmp_path / "results.json").read_text())["stopped"] == results["stopped"]


def test_a_stage_that_reaches_its_end_has_not_stopped(experiment):
    results = Trainer(make(experiment, [0, 1, 2, 2, 2])).fit()
    assert (results["last"]["step"], results["stopped"]) == (4, [])


def test_it_stops_within_an_epoch_and_the_next_stage_begins_anew(experiment):
    values = [0, 9, 9, 9, 9, *range(10, 40)]
    run = make(experiment, values, stages=[Stage(epochs=1), Stage(steps=10)], every_steps=1)
    results = Trainer(run).fit()
    assert [record["step"] for record in results["stopped"]] == [3]
    assert (results["last"]["stage"], results["last"]["step"]) == (1, 13)


@pytest.mark.parametrize("every_steps", [None, 2])
def test_killed_at_any_step_it_ends_where_the_undisturbed_run_does(experiment, tmp_path, every_steps):
    def run():
        values = [0, 1, 2, 3, 4, 5, 6, 7, 7, 5, 5, 4, 4, 3, 3, *range(30, 90)]
        made = make(experiment, values, stages=[Stage(epochs=9), Stage(steps=3)], every_steps=every_steps, patience=1)
        made.callbacks[-1].every_steps = 3
        return made

    def outcome(made, results, folder):
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        log = [{key: value for key, value in line.items() if key != "samples_per_second"} for line in lines]
        return made.models["student"].state_dict(), {**results, "seconds": 0}, log

    undisturbed = run()
    weights, *expected = outcome(undisturbed, Trainer(undisturbed, output=tmp_path / "whole").fit(), tmp_path / "whole")
    last = expected[0]["last"]["step"]
    assert expected[0]["stopped"][0]["step"] == (8 if every_steps else 14)
    for step in range(4, last + 1):
        folder = tmp_path / str(step)
        with pytest.raises(KillError):
            Trainer(run(), output=folder, callbacks=[KillAt(step)]).fit()
        resumed = run()
        found, *rest = outcome(resumed, Trainer(resumed, output=folder).fit(resume=True), folder)
        assert all(torch.equal(found[name], weights[name]) for name in weights), step
        assert rest == expected, step


def test_a_metric_that_nothing_measures(experiment):
    run = make(experiment, [0, 1, 2, 3])
    run.callbacks[2].metric = "scor"
    with pytest.raises(TrainingError) as error:
        Trainer(run).fit()
    assert str(error.value) == (
        "EarlyStopping('scor'): nothing measures 'scor' on 'val'\n  hint: did you mean 'score'?"
    )


def test_a_metric_that_nothing_measures_is_found_in_the_file(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "callbacks:\n"
        "- !import_call:distill_core.train.Evaluate {loader: x, metrics: {top1: {}}}\n"
        "- !import_call:distill_core.train.EarlyStopping {metric: top5}\n"
    )
    (problem,) = cross_check(read(file), ())
    assert problem.message == "no Evaluate before this EarlyStopping measures 'top5' on 'val'"
    assert (problem.key, problem.hint) == ("callbacks.1.metric", "did you mean 'top1'?")
