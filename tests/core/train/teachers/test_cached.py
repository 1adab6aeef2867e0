"""A run with a cached teacher is the run with a live one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from distill_core.data import TensorData
from distill_core.errors import DataError, WiringError
from distill_core.experiment import CacheSettings
from distill_core.train import Experiment, Trainer

from ..state_dicts import same
from .caching import Calls, cached, weights


@pytest.mark.parametrize("workers", [None, 0, 2])
def test_cached_equals_live_bit_for_bit(run, tmp_path, workers):
    """Random crops and flips, two feature maps and the output, a last batch that is small, five epochs of two views."""
    live = weights(run.experiment(workers, views=2))
    building = run.experiment(workers, cache=cached(tmp_path))
    calls = Calls(building.models["teacher"][0])
    assert same(weights(building), live)
    per_epoch = 7  # batches of 6 of 40 samples
    assert calls.count == 2 * per_epoch + 1  # once more, to see that the small batch may be filled up
    read = run.experiment(workers, cache=cached(tmp_path))
    calls = Calls(read.models["teacher"][0])
    assert same(weights(read), live)
    assert calls.count == 0


def test_live_runs_with_other_views_differ(run):
    assert not same(weights(run.experiment(None, views=2)), weights(run.experiment(None, views=3)))
    assert not same(weights(run.experiment(None, views=5)), weights(run.experiment(None, views=1)))


def test_samples_that_no_batch_has_are_filled_in(run, tmp_path):
    """With drop_last each epoch omits samples; the view is complete at its end nevertheless."""
    live = weights(run.experiment(None, views=2, drop_last=True))
    building = run.experiment(None, cache=cached(tmp_path), drop_last=True)
    calls = Calls(building.models["teacher"][0])
    assert same(weights(building), live)
    assert calls.count == 2 * (6 + 1) + 1
    assert len(list(tmp_path.glob("teacher-*/view-*.json"))) == 2
    assert list(tmp_path.glob("teacher-*/*.rows")) == []
    assert {path.name for path in tmp_path.glob("teacher-*/.*")} <= {".lock"}


CHANGES = {
    "weights": lambda e: e.models["teacher"][0].weight.data[0, 0, 0, 0].add_(1e-3),
    "transform": lambda e: setattr(e.data["train"].dataset, "augment", partial(e.data["train"].dataset.augment.func, padding=1)),
    "data": lambda e: e.data["train"].dataset.tensors["input"][3, 0, 2, 2].add_(1e-3),
    "seed": lambda e: replace(e, seed=1),
    "codec": lambda e: replace(e, cache={"teacher": replace(e.cache["teacher"], codec="float16")}),
    "views": lambda e: replace(e, cache={"teacher": replace(e.cache["teacher"], views=3)}),
    "dtype": lambda e: replace(e, precision="bf16"),
    "taps": lambda e: e.stages[0].losses.pop("hint"),
}  # fmt: skip


@pytest.mark.parametrize("part", CHANGES)
def test_whatever_changes_makes_another_cache(run, tmp_path, part, caplog):
    weights(run.experiment(None, cache=cached(tmp_path)))
    (first,) = tmp_path.glob("teacher-*")
    changed = run.experiment(None, cache=cached(tmp_path))
    result = CHANGES[part](changed)
    changed = result if isinstance(result, Experiment) else changed
    calls = Calls(changed.models["teacher"][0])
    with caplog.at_level("INFO", logger="distill"):
        weights(changed)
    assert calls.count > 0
    assert len(list(tmp_path.glob("teacher-*"))) == 2
    assert f"{first.name} is not used: its {part} differ" in caplog.text


class Jittered(TensorData):
    """A subclass whose batches depend on seeds, although it has no `augment`."""

    def batch(self, indices, seeds):
        fields = super().batch(indices, seeds)
        return fields | {"input": fields["input"] + (seeds % 7)[:, None, None, None]}


@pytest.mark.parametrize("kind", [TensorData, Jittered])
def test_seeds_share_the_cache_of_data_that_do_not_depend_on_them(run, tmp_path, kind):
    def made(seed, **options):
        experiment = run.experiment(None, **options)
        loader = experiment.data["train"]
        loader.dataset = kind(loader.dataset.tensors)
        return replace(experiment, seed=seed)

    weights(made(0, cache=cached(tmp_path)))
    second = made(1, cache=cached(tmp_path))
    calls = Calls(second.models["teacher"][0])
    assert same(weights(second), weights(made(1, views=2)))
    shares = kind is TensorData
    assert (calls.count == 0) is shares
    assert len(list(tmp_path.glob("teacher-*"))) == (1 if shares else 2)


def test_a_flipped_byte_is_reported_with_its_file(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    shard = sorted(tmp_path.glob("teacher-*/view-*.safetensors"))[1]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError) as failure:
        weights(run.experiment(None, cache=cached(tmp_path)))
    assert str(failure.value) == (
        f"{shard} is damaged: its SHA-256 differs from the recorded one\n"
        f"  hint: remove {shard} and {shard.stem}.json to build the view again"
    )
    shard.unlink()
    shard.with_suffix(".json").unlink()
    live = weights(run.experiment(None, views=2))
    assert same(weights(run.experiment(None, cache=cached(tmp_path))), live)


MISTAKES = [
    ({"cache": {"techer": CacheSettings(folder="x", views=1)}},
     "cache: there is no model 'techer'\n  hint: did you mean 'teacher'?"),
    ({"cache": {"teacher": CacheSettings(folder="x", views=2)}, "views": 3},
     "all models of a run see the same views: cache.teacher.views: 2, views: 3"),
    ({"cache": {"teacher": CacheSettings(folder="x", views=1, codec={"student": "int8"})}},
     "cache.teacher.codec: 'student' is not a tap of 'teacher'\n  hint: write it like 'teacher' or 'teacher.layer*'"),
    ({"cache": {"teacher": CacheSettings(folder="x")}}, "cache: the number of views of each sample is not set\n  hint: set "
     "`views`: 1 without augmentation, otherwise the number of epochs after which augmentations repeat"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), MISTAKES)
def test_mistakes_are_told(run, options, message):
    with pytest.raises(WiringError) as failure:
        Trainer(run.experiment(None, **options))
    assert str(failure.value) == message


def test_the_teacher_is_not_changed(run, tmp_path):
    experiment = run.experiment(None, cache=cached(tmp_path))
    before = {name: tensor.clone() for name, tensor in experiment.models["teacher"].state_dict().items()}
    weights(experiment)
    assert same(before, dict(experiment.models["teacher"].state_dict()))
