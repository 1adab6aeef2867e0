"""Schedules know their length: omitted lengths are filled in, shares resolved, what cannot fit is refused."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import torch
import transformers
from torch import nn
from torch.utils.data import TensorDataset

from distill_core.data import Loader
from distill_core.errors import TrainingError
from distill_core.experiment import Experiment, Stage, Term
from distill_core.train import Callback, Trainer

LR = torch.optim.lr_scheduler
CE = Term(loss=nn.CrossEntropyLoss(), inputs={"input": "student", "target": "batch.target"})
EPOCHS, BATCHES = 5, 4
LENGTH = {"step": EPOCHS * BATCHES, "epoch": EPOCHS}


class Rates(Callback):
    """Records the learning rate after each step."""

    def __init__(self):
        self.rates = []

    def on_step_end(self, trainer):
        self.rates.append(trainer.run.optimizer.param_groups[0]["lr"])

    def on_epoch_end(self, trainer):
        self.rates[-1] = trainer.run.optimizer.param_groups[0]["lr"]


def rates(scheduler, each, **stage):
    data = TensorDataset(torch.randn(4 * BATCHES, 4), torch.randint(0, 3, (4 * BATCHES,)))
    watch = Rates()
    settings = {
        "epochs": EPOCHS,
        "losses": {"ce": CE},
        "optimizer": partial(torch.optim.SGD, lr=0.1, momentum=0.9),
        "scheduler": scheduler,
        "scheduler_step": each,
        **stage,
    }
    experiment = Experiment(
        models={"student": nn.Linear(4, 3)},
        data={"train": Loader(data, 4)},
        stages=[Stage(**settings)],
        callbacks=[watch],
    )
    Trainer(experiment).fit()
    return watch.rates


def by_hand(make, each, *, is_timm=False):
    """The rates of a plain loop over a scheduler whose length was counted by hand."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler, seen = make(optimizer), []
    for step in range(1, EPOCHS * BATCHES + 1):
        optimizer.step()
        if is_timm and each == "step":
            scheduler.step_update(step)
        elif is_timm and step % BATCHES == 0:
            scheduler.step(step // BATCHES)
        elif not is_timm and (each == "step" or step % BATCHES == 0):
            scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


TORCH = {
    "one cycle": (LR.OneCycleLR, {"max_lr": 0.1}, lambda n: {"total_steps": n}),
    "one cycle by epochs": (LR.OneCycleLR, {"max_lr": 0.1, "epochs": EPOCHS}, lambda n: {"total_steps": n}),
    "cosine": (LR.CosineAnnealingLR, {}, lambda n: {"T_max": n}),
    "polynomial": (LR.PolynomialLR, {"power": 0.9}, lambda n: {"total_iters": n}),
    "ramp": (LR.LinearLR, {"total_iters": "40%"}, lambda n: {"total_iters": n * 2 // 5}),
    "cycles": (
        LR.CyclicLR,
        {"base_lr": 0.1, "max_lr": 0.2, "step_size_up": "20%", "step_size_down": "40%"},
        lambda n: {"step_size_up": n // 5, "step_size_down": n * 2 // 5},
    ),
    "restarts": (LR.CosineAnnealingWarmRestarts, {"T_0": "20%"}, lambda n: {"T_0": n // 5}),
    "steps": (LR.StepLR, {"step_size": "40%"}, lambda n: {"step_size": n * 2 // 5}),
    "milestones": (LR.MultiStepLR, {"milestones": ["40%", "80%"]}, lambda n: {"milestones": [n * 2 // 5, n * 4 // 5]}),
    "linear": (
        transformers.get_linear_schedule_with_warmup,
        {"num_warmup_steps": "20%"},
        lambda n: {"num_warmup_steps": n // 5, "num_training_steps": n},
    ),
    "wsd": (
        transformers.get_wsd_schedule,
        {"num_warmup_steps": "20%", "num_decay_steps": "40%"},
        lambda n: {"num_warmup_steps": n // 5, "num_decay_steps": n * 2 // 5, "num_training_steps": n},
    ),
    "wsd of its own length": (
        transformers.get_wsd_schedule,
        {"num_warmup_steps": "20%", "num_decay_steps": "20%", "num_stable_steps": "60%"},
        lambda n: {"num_warmup_steps": n // 5, "num_decay_steps": n // 5, "num_stable_steps": n * 3 // 5},
    ),
}


@pytest.mark.parametrize("each", ["step", "epoch"])
@pytest.mark.parametrize("name", TORCH)
def test_a_length_counted_by_hand_gives_the_same_rates(name, each):
    make, given, counted = TORCH[name]
    numbers = {key: value for key, value in given.items() if key != "epochs"} | counted(LENGTH[each])
    assert rates(partial(make, **given), each) == by_hand(partial(make, **numbers), each)


@pytest.mark.parametrize("each", ["step", "epoch"])
@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial", "cosine_with_restarts"])
def test_a_schedule_that_transformers_finds_by_its_name(name, each):
    length = LENGTH[each]
    make = partial(transformers.get_scheduler, name=name)
    hand = lambda optimizer: make(optimizer=optimizer, num_warmup_steps=length // 5, num_training_steps=length)  # noqa: E731
    assert rates(partial(make, num_warmup_steps="20%"), each) == by_hand(hand, each)


@pytest.mark.parametrize("each", ["step", "epoch"])
@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("name", ["CosineLRScheduler", "PolyLRScheduler", "TanhLRScheduler", "WSDLRScheduler"])
def test_schedules_of_timm(name, prefix, each):
    make = getattr(pytest.importorskip("timm.scheduler"), name)
    options = {"decay_t": 1} if name.startswith("WSD") else {"warmup_prefix": prefix}
    length = LENGTH[each]
    own = length - length // 5 if prefix or name.startswith("WSD") else length
    hand = partial(make, t_initial=own, warmup_t=length // 5, t_in_epochs=each == "epoch", **options)
    assert rates(partial(make, warmup_t="20%", **options), each) == by_hand(hand, each, is_timm=True)


@pytest.mark.parametrize("each", ["step", "epoch"])
def test_a_warm_up_before_a_cosine(each):
    parts = [partial(LR.LinearLR, start_factor=0.1), LR.CosineAnnealingLR]
    length, first = LENGTH[each], LENGTH[each] // 5

    def hand(optimizer):
        ramp = LR.LinearLR(optimizer, start_factor=0.1, total_iters=first)
        return LR.SequentialLR(optimizer, [ramp, LR.CosineAnnealingLR(optimizer, T_max=length - first)], [first])

    assert rates(partial(LR.SequentialLR, schedulers=parts, milestones=["20%"]), each) == by_hand(hand, each)


def test_schedules_multiplied_by_each_other():
    def hand(optimizer):
        return LR.ChainedScheduler([LR.LinearLR(optimizer, total_iters=20), LR.CosineAnnealingLR(optimizer, T_max=20)])

    assert rates(partial(LR.ChainedScheduler, schedulers=[LR.LinearLR, LR.CosineAnnealingLR]), "step") == by_hand(
        hand, "step"
    )


def test_the_log_tells_the_lengths_that_were_filled_in(caplog):
    caplog.set_level(logging.INFO, "distill")
    rates(partial(transformers.get_linear_schedule_with_warmup, num_warmup_steps="5%"), "step")
    message = (
        "get_linear_schedule_with_warmup uses num_warmup_steps=1, num_training_steps=20, from the length of the stage"
    )
    assert [record.getMessage() for record in caplog.records] == [f"stages.0.scheduler: {message}"]


SHORT = {
    "total_steps": (partial(LR.OneCycleLR, max_lr=0.1, total_steps=19), "step"),
    "steps_per_epoch": (partial(LR.OneCycleLR, max_lr=0.1, epochs=EPOCHS, steps_per_epoch=3), "step"),
    "a share": (partial(LR.OneCycleLR, max_lr=0.1, total_steps="90%"), "step"),
    "by epoch": (partial(LR.OneCycleLR, max_lr=0.1, total_steps=4), "epoch"),
    "a part": (
        partial(
            LR.SequentialLR,
            schedulers=[LR.LinearLR, partial(LR.OneCycleLR, max_lr=0.1, total_steps=9)],
            milestones=[10],
        ),
        "step",
    ),
}


@pytest.mark.parametrize("name", SHORT)
def test_a_schedule_that_would_raise_is_refused_before_the_first_step_of_any_stage(name):
    scheduler, each = SHORT[name]
    steps = Rates()
    data = TensorDataset(torch.randn(4 * BATCHES, 4), torch.randint(0, 3, (4 * BATCHES,)))
    first = Stage(epochs=1, losses={"ce": CE}, optimizer=partial(torch.optim.SGD, lr=0.1))
    stages = [first, Stage(epochs=EPOCHS, scheduler=scheduler, scheduler_step=each)]
    models = {"student": nn.Linear(4, 3)}
    with pytest.raises(TrainingError, match=r"^stages\.1\.scheduler: OneCycleLR has \d+ steps and raises after them"):
        Trainer(Experiment(models=models, data={"train": Loader(data, 4)}, stages=stages, callbacks=[steps])).fit()
    assert steps.rates == []


REFUSED = {
    "too much": (
        partial(LR.StepLR, step_size="101%"),
        "`step_size` is 101% of the stage, but a share is from 0% to 100%",
    ),
    "a word": (
        partial(LR.StepLR, step_size="tenth"),
        "`step_size` must be a number >= 1 or a share of the stage, got 'tenth'",
    ),
    "a word in a list": (partial(LR.MultiStepLR, milestones=["5 %"]), "`milestones` must be a number >= 0 or a share"),
    "nothing": (partial(LR.CosineAnnealingLR, T_max=0), "`T_max` must be a number >= 1 or a share of the stage, got 0"),
    "less": (partial(transformers.get_linear_schedule_with_warmup, num_warmup_steps=-1), "must be a number >= 0 or a"),
    "an unknown argument": (partial(LR.CosineAnnealingLR, eta=0), "CosineAnnealingLR cannot be made: TypeError"),
    "a missing warm-up": (transformers.get_linear_schedule_with_warmup, "missing 1 required positional argument"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_schedule_that_cannot_be_made_is_refused_with_its_key(name):
    scheduler, message = REFUSED[name]
    with pytest.raises(TrainingError, match=message) as raised:
        rates(scheduler, "step")
    assert str(raised.value).startswith("stages.0.scheduler: ")


def test_a_schedule_of_timm_that_counts_otherwise_is_refused():
    make = pytest.importorskip("timm.scheduler").CosineLRScheduler
    with pytest.raises(TrainingError, match="`t_in_epochs: true` contradicts `scheduler_step: step`"):
        rates(partial(make, t_in_epochs=True), "step")


def test_a_warm_up_as_long_as_the_stage_is_noted(caplog):
    rates(partial(transformers.get_linear_schedule_with_warmup, num_warmup_steps=20), "step")
    assert "LambdaLR warms up for num_warmup_steps=20, but it advances 20 times" in caplog.text
