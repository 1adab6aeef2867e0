from __future__ import annotations

import json
import math

import pytest
from safetensors.torch import load_file

from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Evaluate, Metric, Stage, Trainer


class Scripted:
    """A metric that gives the values it was told, one for each evaluation."""

    def __init__(self, values):
        self.values = iter(values)

    def reset(self):
        pass

    def update(self, preds):
        pass

    def compute(self):
        return next(self.values)


def run_with(experiment, values, tmp_path, **choice):
    run = experiment()
    metrics = {"score": Metric(metric=Scripted(values), inputs={"preds": "student"})}
    stage = Stage(epochs=len(values)).after(run.stages[0])
    callbacks = [Evaluate(run.data["val"], metrics), Checkpoint(best="score", **choice)]
    run = experiment(stages=[stage], callbacks=callbacks)
    return Trainer(run, output=tmp_path).fit()


@pytest.mark.parametrize(
    ("values", "mode", "epoch"),
    [
        ([1.0, 3.0, 3.0, 2.0], "max", 2),
        ([2.0, 1.0, 1.0], "min", 2),
        ([math.nan, 1.0, math.nan], "max", 2),
    ],
)
def test_the_first_of_the_best_is_kept(experiment, tmp_path, values, mode, epoch):
    results = run_with(experiment, values, tmp_path, mode=mode)
    assert results["best"]["epoch"] == epoch
    assert results["best"]["val"] == {"score": values[epoch - 1]}
    state = json.loads(
        (tmp_path / "checkpoints" / (tmp_path / "checkpoints" / "best").read_text().strip() / "state.json").read_text()
    )
    assert state["run"]["epoch"] == epoch
    assert load_file(tmp_path / "student.safetensors").keys() == state["models"]["student"].keys()


def test_numbers_that_are_not_finite_are_null_in_the_files(experiment, tmp_path):
    run_with(experiment, [1.0, math.nan], tmp_path)
    assert json.loads((tmp_path / "results.json").read_text())["last"]["val"] == {"score": None}
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()


def test_a_metric_that_nobody_measures(experiment, tmp_path):
    run = experiment()
    with pytest.raises(TrainingError) as error:
        Trainer(experiment(callbacks=[run.callbacks[0], Checkpoint(best="top5")]), output=tmp_path / "a").fit()
    assert str(error.value) == (
        "Checkpoint(best='top5'): nothing measures 'top5' on 'val'\n  hint: did you mean 'top1'?"
    )
    with pytest.raises(TrainingError) as error:
        Trainer(experiment(callbacks=[Checkpoint(best="top1")]), output=tmp_path / "b").fit()
    assert str(error.value) == (
        "Checkpoint(best='top1'): nothing measures 'top1' on 'val'\n  hint: list an Evaluate with that metric before it"
    )


def test_only_stages_in_which_the_measured_model_learns_take_part(experiment, tmp_path):
    run = experiment()
    metrics = {"score": Metric(metric=Scripted([9.0, 1.0, 2.0]), inputs={"preds": "student"})}
    first = Stage(epochs=1, train=["losses"]).after(run.stages[0])
    stages = [first, Stage(epochs=2, train=["student"])]
    callbacks = [Evaluate(run.data["val"], metrics), Checkpoint(best="score")]
    results = Trainer(experiment(stages=stages, callbacks=callbacks), output=tmp_path).fit()
    assert (results["best"]["stage"], results["best"]["epoch"]) == (1, 2)


def test_the_average_of_a_model_learns_with_it(experiment, tmp_path):
    run = experiment()
    metrics = {"score": Metric(metric=Scripted([2.0, 1.0]), inputs={"preds": "student_ema"})}
    callbacks = [Evaluate(run.data["val"], metrics), Checkpoint(best="score")]
    results = Trainer(experiment(callbacks=callbacks, ema={"student": 0.9}), output=tmp_path).fit()
    assert results["best"]["epoch"] == 1


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_so_many_checkpoints_are_kept_besides_the_best(experiment, tmp_path, keep):
    run_with(experiment, [9.0, *range(6)], tmp_path, keep=keep)
    steps = [int(path.name.removeprefix("step-")) for path in (tmp_path / "checkpoints").glob("step-*")]
    assert sorted(steps) == [7, *range(7 * (8 - keep), 50, 7)]


def damage(store):
    (store / (store / "best").read_text().strip() / "state.safetensors").write_bytes(b"")


class DamageBest(Callback):
    """Damage the best checkpoint after so many epochs."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_stage_start(self, trainer):
        self.store = trainer.store.folder

    def on_log(self, trainer, record):
        if record["split"] == "train" and trainer.state.epoch == self.epoch:
            damage(self.store)


def scripted(experiment, values, *callbacks):
    run = experiment()
    metrics = {"score": Metric(metric=Scripted(values), inputs={"preds": "student"})}
    stage = Stage(epochs=4).after(run.stages[0])
    evaluate = Evaluate(run.data["val"], metrics)
    return experiment(stages=[stage], callbacks=[evaluate, *callbacks, Checkpoint(best="score")], log_every=100)


def test_a_damaged_best_costs_neither_student_nor_results(experiment, tmp_path, caplog):
    run = scripted(experiment, [4.0, 3.0, 2.0, 1.0], DamageBest(3))
    results = Trainer(run, output=tmp_path).fit()
    assert results["best"] is None
    assert (
        "is damaged: the SHA-256 of state.safetensors differs from the manifest; the results and the weights are those"
        in caplog.text
    )
    weights = load_file(tmp_path / "student.safetensors")
    assert all((value == weights[name]).all() for name, value in run.models["student"].state_dict().items())


def test_a_damaged_best_is_noticed_when_it_is_replaced(experiment, tmp_path, caplog):
    results = Trainer(scripted(experiment, [4.0, 3.0, 2.0, 9.0], DamageBest(3)), output=tmp_path).fit()
    assert results["best"]["epoch"] == 4
    assert "is damaged: the SHA-256 of state.safetensors differs from the manifest" in caplog.text


def test_a_damaged_best_is_noticed_at_resume_and_chosen_anew(experiment, tmp_path, caplog):
    class Stop(Callback):
        def on_log(self, trainer, record):
            if trainer.state.epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(scripted(experiment, [4.0, 3.0, 2.0, 1.0], Stop()), output=tmp_path).fit()
    damage(tmp_path / "checkpoints")
    resumed = Trainer(scripted(experiment, [2.0, 1.0], Callback()), output=tmp_path)
    results = resumed.fit(resume=True, change=True)  # without the callback that stopped it
    assert "the best checkpoint" in caplog.text
    assert results["best"]["epoch"] == 3
