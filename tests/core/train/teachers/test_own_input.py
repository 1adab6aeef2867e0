"""A teacher whose images have another size and normalisation than those of the data: `sources`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.errors import WiringError
from distill_core.experiment import CacheSettings, Evaluation, Experiment, Metric, SourceSettings, Stage, Term
from distill_core.layers import Renormalise
from distill_core.preview import preview
from distill_core.train import Callback, Trainer

GIVEN, OWN = ((0.3, 0.4, 0.5), (0.2, 0.3, 0.4)), ((0.5, 0.5, 0.1), (0.5, 0.25, 0.7))
SETTINGS = {"size": [12, 10], "mean": OWN[0], "std": OWN[1]}


@dataclass
class Normalise:
    """As a dataset's augmentation normalises pixels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images, seeds):
        return (images - torch.tensor(self.mean).view(-1, 1, 1)) / torch.tensor(self.std).view(-1, 1, 1)


NORMALISE = Normalise(*GIVEN)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4, 5)
        self.seen: list[torch.Tensor] = []

    def forward(self, images):
        self.seen.append(images)
        return self.head(self.body(images).relu().mean((2, 3)))


class Losses(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_log(self, run, record):
        if "loss" in record:
            self.seen.append(record["loss"])


class Hits:
    def reset(self) -> None:
        self.seen: list[torch.Tensor] = []

    def update(self, preds) -> None:
        self.seen.append(preds)

    def compute(self) -> float:
        return float(torch.cat(self.seen).sum())


def made(wrap=lambda net: net, data=NORMALISE, **options) -> Experiment:
    torch.manual_seed(0)
    models = {"teacher": wrap(Net()), "student": Net()}
    inputs = {"student": "student", "teacher": "teacher"}
    pixels = torch.rand(12, 3, 6, 8)
    loader = Loader(TensorData({"input": pixels}, data), 4)
    from distill_core.losses import KDLoss

    stage = Stage(
        epochs=2, losses={"kd": Term(loss=KDLoss(), inputs=inputs)}, optimizer=partial(torch.optim.SGD, lr=1.0)
    )
    test = Evaluation(loader=loader, metrics={"sum": Metric(metric=Hits(), inputs={"preds": "teacher"})})
    return Experiment(models=models, data={"train": loader}, stages=[stage], test=test, log_every=1, **options)


def run(experiment: Experiment) -> tuple[list[float], float]:
    log = Losses()
    results = Trainer(experiment, callbacks=[log]).fit()
    return log.seen, results["test"]["sum"]


def test_images_are_those_of_an_own_pipeline_in_training_and_test():
    experiment = made(sources={"teacher": SourceSettings(**SETTINGS)})
    run(experiment)
    seen = experiment.models["teacher"].seen
    assert len(seen) >= 9
    pixels = experiment.data["train"].dataset.tensors["input"]
    resized = F.interpolate(pixels, (12, 10), mode="bilinear", antialias=True, align_corners=False)
    own = Normalise(*OWN)(resized, None)
    torch.testing.assert_close(torch.cat(seen[-3:]), own)  # the test has the order of the data
    assert {tuple(each.shape[1:]) for each in experiment.models["student"].seen} == {(3, 6, 8)}


@pytest.mark.parametrize("cached", [False, True])
def test_a_run_is_that_of_a_wrapped_teacher_and_a_cache_has_its_rows(tmp_path, cached):
    wrapped = run(
        made(partial(Renormalise, mean=GIVEN[0], std=GIVEN[1], own_mean=OWN[0], own_std=OWN[1], size=[12, 10]))
    )
    options = {"cache": {"teacher": CacheSettings(folder=str(tmp_path), views=1)}, "views": 1} if cached else {}
    experiment = made(sources={"teacher": SourceSettings(**SETTINGS)}, **options)
    found = run(experiment)
    if not cached:
        assert found[0] == pytest.approx(wrapped[0], rel=1e-3)
        assert found[1] == pytest.approx(wrapped[1], rel=1e-5)
        return
    (name,) = [path.name for path in tmp_path.iterdir() if path.is_dir()]
    live = run(made(sources={"teacher": SourceSettings(**SETTINGS)}, views=1))
    assert found[0] == pytest.approx(live[0], rel=1e-5)
    again = made(sources={"teacher": SourceSettings(**SETTINGS)}, **options)
    assert run(again)[0] == found[0]
    assert len([each for each in again.models["teacher"].seen if each.shape[0]]) <= 4  # the test alone
    run(made(sources={"teacher": SourceSettings(size=[6, 6])}, **options))
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} > {name}


def test_a_second_trainer_and_a_preview_convert_once():
    experiment = made(sources={"teacher": SourceSettings(**SETTINGS)})
    first = run(experiment)
    assert run(made(sources={"teacher": SourceSettings(**SETTINGS)})) == first
    again = replace(experiment, sources={"teacher": SourceSettings(size=[9, 9])})
    found = preview(again)
    assert found.problems == ()
    Trainer(again)
    experiment.models["teacher"].seen.clear()
    experiment.models["teacher"](torch.zeros(1, 3, 6, 8))
    assert experiment.models["teacher"].seen[0].shape == (1, 3, 9, 9)


def test_a_preview_has_the_shapes_of_the_own_size():
    experiment = made(sources={"teacher": SourceSettings(size=[21, 11])})
    kd = experiment.stages[0].losses["kd"]
    at = Term(loss=lambda a, b: a.mean() + b.mean(), inputs={"a": "student.body", "b": "teacher.body"})
    stage = replace(experiment.stages[0], losses={"kd": kd, "at": at})
    found = preview(replace(experiment, stages=[stage]))
    shapes = {tap.tap: tap.shape for tap in found.stages[0].taps}
    assert shapes["student.body"] == "(4, 4, 2, 3)"
    assert shapes["teacher.body"] == "(4, 4, 10, 5)"


def test_what_cannot_be_converted_is_refused():
    unknown = made(data=None, sources={"teacher": SourceSettings(**SETTINGS)})
    with pytest.raises(WiringError, match=r"sources\.teacher\.mean: the normalisation of the data is not known"):
        Trainer(unknown)
    grey = made(sources={"teacher": SourceSettings(mean=[0.5], std=[0.5])})
    with pytest.raises(WiringError, match="it has 1 entries, and that of the data has 3"):
        Trainer(grey)
    texts = made(data=None, wrap=lambda net: nn.Flatten(), sources={"teacher": SourceSettings(size=[3, 3])})
    Trainer(texts)
    with pytest.raises(WiringError, match="which it is not called with"):
        texts.models["teacher"](torch.zeros(2, 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": [8]}, "`size` must be a height and a width, got 1 number"),
        ({"size": [8, 0]}, "must be >= 1, got 0"),
        ({"mean": [0.5]}, "`mean` and `std` need one number for each channel, got 1 and 0"),
        ({"mean": [0.5], "std": [0.0]}, "must be > 0, got 0"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        SourceSettings(**settings)
