"""A run that is killed and resumed ends bit for bit where the undisturbed one does."""

from __future__ import annotations

import json

import pytest
import torch

from distill_core.data import Loader
from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Evaluate, Stage, Trainer


class KillError(Exception):
    pass


class KillAfter(Callback):
    """Raises when so many records have been logged."""

    def __init__(self, records):
        self.left = records

    def on_log(self, trainer, record):
        self.left -= 1
        if self.left == 0:
            raise KillError


def two_stages(experiment, **options):
    """Two stages with accumulation, EMA, dropout, and checkpoints within epochs."""
    first = experiment().stages[0]
    run = experiment()
    evaluate = Evaluate(run.data["val"], run.callbacks[0].evaluation.metrics)
    return experiment(
        stages=[first, Stage(epochs=2, train=["student", "losses"], accumulate=2)],
        callbacks=[evaluate, Checkpoint(best="top1", every_steps=2)],
        ema={"student": 0.9},
        log_every=3,
        **options,
    )


def final(run):
    loss = run.stages[0].losses["kd"].loss
    return {**run.models["student"].state_dict(), **{f"loss.{k}": v for k, v in loss.state_dict().items()}}


@pytest.mark.parametrize("records", range(1, 12, 2))
def test_killed_and_resumed_ends_where_the_undisturbed_one_does(experiment, tmp_path, records):
    undisturbed = two_stages(experiment)
    expected = Trainer(undisturbed, output=tmp_path / "whole").fit()
    interrupted = Trainer(two_stages(experiment), output=tmp_path / "killed", callbacks=[KillAfter(records)])
    with pytest.raises(KillError):
        interrupted.fit()
    resumed = two_stages(experiment)
    trainer = Trainer(resumed, output=tmp_path / "killed")
    if trainer.store.name("latest") is None:
        with pytest.raises(TrainingError, match="there is no checkpoint to resume from"):
            trainer.fit(resume=True)
        return
    results = trainer.fit(resume=True)
    for name, tensor in final(undisturbed).items():
        assert torch.equal(tensor, final(resumed)[name]), name
    assert {**results, "seconds": 0} == {**expected, "seconds": 0}

    def log(folder):
        lines = [json.loads(line) for line in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        return [{key: value for key, value in line.items() if key != "samples_per_second"} for line in lines]

    assert log("killed") == log("whole")


def test_another_experiment_is_refused_with_the_differences(experiment, tmp_path):
    Trainer(experiment(), output=tmp_path).fit()
    other = experiment(seed=3, batch_size=10)
    with pytest.raises(TrainingError) as error:
        Trainer(other, output=tmp_path).fit(resume=True)
    assert str(error.value) == (
        "this is not the run that was interrupted:\n  batch_size: [8] then, [10] now\n  seed: 0 then, 3 now"
    )


def test_a_checkpoint_of_a_model_with_other_tensors_is_refused_with_their_names(experiment, tmp_path):
    run = experiment()
    run.models["student"].register_buffer("calls", torch.zeros(2))
    Trainer(run, output=tmp_path).fit()
    changed = experiment()
    changed.models["student"].register_buffer("steps", torch.zeros(2))
    with pytest.raises(TrainingError) as error:
        Trainer(changed, output=tmp_path).fit(resume=True)
    assert str(error.value) == (
        "the checkpoint does not fit the model 'student':\n  steps is missing in the file\n  calls is not in the model\n"
        "  hint: resume with the code and the packages of the interrupted run"
    )


def test_without_a_folder_there_is_nothing_to_resume(experiment):
    with pytest.raises(TrainingError) as error:
        Trainer(experiment()).fit(resume=True)
    assert str(error.value) == "a run without a folder cannot be resumed"


def test_too_few_samples_for_a_batch(experiment):
    data = {"train": Loader(experiment().data["train"].dataset, 64, drop_last=True)}
    with pytest.raises(TrainingError) as error:
        Trainer(experiment(data=data)).fit()
    assert str(error.value) == "50 samples are less than one batch\n  hint: reduce batch_size, or set drop_last: false"


def test_fewer_samples_than_processes(experiment, monkeypatch):
    data = {"train": Loader(experiment().data["train"].dataset, 1)}
    stage = Trainer(experiment(data=data)).stages[0]
    for module in ("distill_core.data._loader", "distill_core.train._resolved_stage"):
        monkeypatch.setattr(f"{module}.world_size", lambda: 51)
    with pytest.raises(TrainingError, match="50 samples are fewer than 51 processes\n  hint: start fewer processes"):
        stage.loader(experiment(data=data))
