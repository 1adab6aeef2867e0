"""Resume with changes: what cannot change the past may change, is recorded, and gives what the new schedule says."""

from __future__ import annotations

import json
from functools import partial

import pytest
import torch

from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Evaluate, Stage, Trainer

LR = torch.optim.lr_scheduler


class StopError(Exception):
    pass


class StopAt(Callback):
    """Raises at a step, and records the rate of each."""

    def __init__(self, step=None):
        self.step, self.rates = step, {}

    def on_step_end(self, trainer):
        if trainer.state.step == self.step:
            raise StopError
        self.rates[trainer.state.step] = trainer.run.optimizer.param_groups[0]["lr"]


def make(experiment, scheduler, each="step", epochs=3, **options):
    stage = Stage(scheduler=scheduler, scheduler_step=each, epochs=epochs).after(experiment().stages[0])
    return experiment(stages=[stage, *options.pop("more", ())], callbacks=[Checkpoint(every_steps=2)], **options)


def interrupt(folder, run, step=10):
    with pytest.raises(StopError):
        Trainer(run, output=folder, callbacks=[StopAt(step)]).fit()


def resumed(folder, run):
    watch = StopAt()
    Trainer(run, output=folder, callbacks=[watch]).fit(resume=True, change=True)
    return watch.rates


def fresh(run):
    watch = StopAt()
    Trainer(run, callbacks=[watch]).fit()
    return watch.rates


SCHEDULES = {
    "cosine": (LR.CosineAnnealingLR, LR.CosineAnnealingLR),
    "one cycle": (partial(LR.OneCycleLR, max_lr=0.1), partial(LR.OneCycleLR, max_lr=0.3, pct_start=0.6)),
    "another class": (LR.CosineAnnealingLR, partial(LR.StepLR, step_size="20%")),
    "none before": (None, partial(LR.OneCycleLR, max_lr=0.3)),
    "none after": (partial(LR.OneCycleLR, max_lr=0.3), None),
    "a sequence": (
        LR.CosineAnnealingLR,
        partial(LR.SequentialLR, schedulers=[LR.LinearLR, LR.CosineAnnealingLR], milestones=["25%"]),
    ),
}


@pytest.mark.parametrize("each", ["step", "epoch"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_more_epochs_and_another_schedule_go_on_as_the_new_one_from_the_start(experiment, tmp_path, name, each):
    before, after = SCHEDULES[name]
    interrupt(tmp_path, make(experiment, before, each))
    rates = resumed(tmp_path, make(experiment, after, each, epochs=4))
    expected = fresh(make(experiment, after, each, epochs=4))
    assert rates == pytest.approx({step: rate for step, rate in expected.items() if step in rates})
    assert sorted(rates) == list(range(min(rates), 29))
    [record] = map(json.loads, (tmp_path / "changes.jsonl").read_text().splitlines())
    assert record["changes"]["epochs"] == [[3], [4]]


@pytest.mark.parametrize("name", ["CosineLRScheduler", "PolyLRScheduler", "TanhLRScheduler", "WSDLRScheduler"])
def test_a_schedule_of_timm_resumes_and_changes(experiment, tmp_path, name):
    timm = pytest.importorskip("timm.scheduler")
    options = {"decay_t": 2} if name.startswith("WSD") else {}
    scheduler = partial(getattr(timm, name), warmup_t="10%", **options)
    interrupt(tmp_path, make(experiment, scheduler))
    watch = StopAt()
    Trainer(make(experiment, scheduler), output=tmp_path, callbacks=[watch]).fit(resume=True)
    expected = fresh(make(experiment, scheduler))
    assert watch.rates == {step: rate for step, rate in expected.items() if step in watch.rates}


def test_a_plateau_keeps_what_it_saw(experiment, tmp_path):
    run = make(experiment, partial(LR.ReduceLROnPlateau, patience=5), "epoch")
    interrupt(tmp_path, run, 16)
    trainer = Trainer(make(experiment, partial(LR.ReduceLROnPlateau, patience=7), "epoch"), output=tmp_path)
    seen = {}

    class Look(Callback):
        def on_stage_start(self, trainer):
            seen.update(patience=trainer.run.scheduler.patience, best=trainer.run.scheduler.best)

    trainer.callbacks.append(Look())
    trainer.fit(resume=True, change=True)
    assert seen["patience"] == 7
    assert seen["best"] < float("inf")


def test_without_change_the_refusal_names_the_keys_and_the_option(experiment, tmp_path):
    interrupt(tmp_path, make(experiment, LR.CosineAnnealingLR))
    with pytest.raises(TrainingError) as raised:
        Trainer(make(experiment, LR.CosineAnnealingLR, epochs=4), output=tmp_path).fit(resume=True)
    assert str(raised.value) == (
        "this is not the run that was interrupted:\n  epochs: [3] then, [4] now\n"
        "  schedules: ['CosineAnnealingLR(T_max=21) each step'] then, ['CosineAnnealingLR(T_max=28) each step'] now\n"
        "  hint: none of these changes what was trained so far: `--resume --change` accepts them"
    )


PAST = {
    "seed": {"seed": 3},
    "batch_size": {"batch_size": 4},
    "samples": {"count": 40},
    "precision": {"precision": "bf16"},
    "ema": {"ema": {"student": 0.9}},
    "epochs": {"epochs": 1},
}


@pytest.mark.parametrize("key", PAST)
def test_what_would_change_the_past_is_refused(experiment, tmp_path, key):
    interrupt(tmp_path, make(experiment, LR.CosineAnnealingLR))
    with pytest.raises(
        TrainingError, match=rf"\n  {key}: .*\n(.*\n)*  hint: this would change what was trained so far"
    ):
        resumed(tmp_path, make(experiment, LR.CosineAnnealingLR, **PAST[key]))
    assert not (tmp_path / "changes.jsonl").exists()


def test_a_finished_stage_is_past_and_a_later_one_is_not(experiment, tmp_path):
    def two(first, second):
        return make(experiment, LR.CosineAnnealingLR, epochs=first, more=[Stage(epochs=second)])

    interrupt(tmp_path, two(1, 2), 12)
    with pytest.raises(TrainingError, match="would change what was trained so far"):
        resumed(tmp_path, two(2, 2))
    assert max(resumed(tmp_path, two(1, 3))) == 28


def test_callbacks_may_change_and_keep_what_they_remember(experiment, tmp_path):
    def run(*before):
        evaluate = experiment().callbacks[0]
        return experiment(callbacks=[*before, evaluate, Checkpoint(best="top1", every_steps=2)])

    interrupt(tmp_path, run(), 10)
    other = run(Evaluate(experiment().data["val"], experiment().callbacks[0].evaluation.metrics, split="more"))
    [checkpoint] = [callback for callback in other.callbacks if isinstance(callback, Checkpoint)]
    seen = []

    class Look(Callback):
        def on_fit_start(self, trainer):
            seen.append(checkpoint.value)

    Trainer(other, output=tmp_path, callbacks=[Look()]).fit(resume=True, change=True)
    assert seen[0] is not None


def test_a_patch_release_of_torch_needs_the_option(experiment, tmp_path, monkeypatch):
    run = make(experiment, LR.CosineAnnealingLR)
    interrupt(tmp_path, run)
    major, minor, patch = torch.__version__.split("+")[0].split(".")[:3]
    monkeypatch.setattr(torch, "__version__", f"{major}.{minor}.{int(patch) + 1}")
    with pytest.raises(TrainingError, match=r"torch: .*\n  hint: .*`--resume --change` accepts them"):
        Trainer(make(experiment, LR.CosineAnnealingLR), output=tmp_path).fit(resume=True)
    assert max(resumed(tmp_path, make(experiment, LR.CosineAnnealingLR))) == 21
    [record] = map(json.loads, (tmp_path / "changes.jsonl").read_text().splitlines())
    assert set(record["changes"]) == {"torch"}


def test_a_minor_release_of_torch_is_refused(experiment, tmp_path, monkeypatch):
    interrupt(tmp_path, make(experiment, LR.CosineAnnealingLR))
    major, minor, *_ = torch.__version__.split(".")
    monkeypatch.setattr(torch, "__version__", f"{major}.{int(minor) + 1}.0")
    with pytest.raises(TrainingError, match=r"torch: .*\n  hint: this would change what was trained so far"):
        resumed(tmp_path, make(experiment, LR.CosineAnnealingLR))
