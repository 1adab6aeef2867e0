"""Cached runs in which what a sample looks like follows from its batch, or from several views of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from distill_core.data import Loader
from distill_core.errors import DataError
from distill_core.preview import build_caches, verify_caches
from distill_core.train import Checkpoint, Trainer

from ..killing import KillAt, KillError
from ..state_dicts import same
from .caching import Calls, cached, weights

MIXED = [{"mix": True}, {"repeats": 3}, {"mix": True, "repeats": 2, "drop_last": True}]


@pytest.mark.parametrize("batches", MIXED, ids=str)
@pytest.mark.parametrize("workers", [None, 2])
def test_mixed_batches_come_back_as_they_were(run, tmp_path, workers, batches):
    """What a sample looks like follows from its batch: the batches of a view come back, in another order."""
    live = weights(run.experiment(workers, views=2, **batches))
    building = run.experiment(workers, cache=cached(tmp_path), **batches)
    seen = []
    building.models["teacher"].register_forward_pre_hook(lambda _module, args: seen.append(args[0].sum().item()))
    assert same(weights(building), live)
    assert len(set(seen)) >= 2 * 6  # each view is mixed in its own way
    read = run.experiment(workers, cache=cached(tmp_path), **batches)
    calls = Calls(read.models["teacher"][0])
    assert same(weights(read), live)
    assert calls.count == 0
    assert not same(weights(run.experiment(workers, views=2)), live)


def test_mixed_batches_interrupted_and_resumed_or_built_ahead(run, tmp_path):
    def experiment(folder):
        made = run.experiment(None, mix=True, repeats=2, cache=cached(tmp_path / folder))
        return replace(made, callbacks=[Checkpoint(every_steps=4)])

    live = weights(run.experiment(None, views=2, mix=True, repeats=2))
    with pytest.raises(KillError):
        Trainer(experiment("one"), output=tmp_path / "run", callbacks=[KillAt(9)]).fit()
    second = experiment("one")
    Trainer(second, output=tmp_path / "run").fit(resume=True)
    assert same(dict(second.models["student"].state_dict()), live)
    build_caches(Trainer(experiment("two")), lambda _line: None)
    first, ahead = (
        [path.read_bytes() for path in sorted(tmp_path.glob(f"{folder}/*/*.safetensors"))] for folder in ("one", "two")
    )
    assert first == ahead
    (found,) = (each for each in verify_caches(Trainer(experiment("two")), 20) if each.tap == "(output)")
    assert found.samples >= 2 * 20
    assert found.greatest == 0


@pytest.mark.parametrize("change", [{"mix": False}, {"repeats": 3}, {"processes": 2}])
def test_other_mixtures_and_other_batches_make_another_cache(run, tmp_path, change):
    weights(run.experiment(None, cache=cached(tmp_path), mix=True))
    weights(run.experiment(None, cache=cached(tmp_path), **{"mix": True, **change}))
    assert len(list(tmp_path.glob("teacher-*"))) == 2


def test_a_mixture_within_the_batch_is_refused(run, tmp_path):
    """What a sample is mixed with depends on the batch, so the second time it is another input."""
    experiment = run.experiment(None, cache=cached(tmp_path, views=1))

    def mix(images, seeds):
        return images + 0.1 * images.flip(0)

    experiment.data["train"].dataset.augment = mix
    with pytest.raises(DataError, match=r"cache\.teacher: sample \d+ is not the input from which .*view-0000"):
        weights(experiment)


class Mixed:
    """Two views of each sample; one is mixed with another sample, drawn by this sample's seed."""

    def __init__(self, images, target):
        self.images, self.target = images, target

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        other = random.randrange(len(self))
        noisy = self.images[index] + 0.1 * torch.randn(self.images[index].shape)
        return {"input": noisy, "mixed": 0.7 * noisy + 0.3 * self.images[other], "target": self.target[index]}


@pytest.mark.parametrize("workers", [0, 2])
def test_two_views_and_mixtures_by_seed_are_replayed(run, tmp_path, workers):
    def experiment(**options):
        made = run.experiment(None, **options)
        data = Mixed(*(made.data["train"].dataset.tensors[name] for name in ("input", "target")))
        feed = {"teacher": {"input": "batch.mixed"}, "student": {"input": "batch.mixed"}}
        stage = replace(made.stages[0], feed=feed)
        return replace(made, data={"train": Loader(data, 6, shuffle=True, num_workers=workers)}, stages=[stage])

    live = weights(experiment(views=2))
    assert same(weights(experiment(cache=cached(tmp_path))), live)
    assert same(weights(experiment(cache=cached(tmp_path))), live)
