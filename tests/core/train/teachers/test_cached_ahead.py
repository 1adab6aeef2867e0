"""What a cached run does besides reading rows: it announces those of the next batches and checks inputs at log lines."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from distill_core.cache import Cache, Shard
from distill_core.errors import DataError
from distill_core.train import Trainer
from distill_core.train.teachers import _cached_source

from ..state_dicts import same
from .caching import cached, weights


def test_rows_are_announced_before_they_are_read_and_values_are_the_same(run, tmp_path, monkeypatch):
    live = weights(run.experiment(None, views=2))
    weights(run.experiment(None, cache=cached(tmp_path)))
    known, announced, unannounced, will_need, read = set(), [], [], Shard.will_need, Cache.read

    def record(shard, rows, *, omit):
        known.update((shard.path.name, row) for row in rows.tolist())
        announced.append(len(rows))
        will_need(shard, rows, omit=omit)

    def check(cache, view, rows, *, omit):
        unannounced.append({(cache.path(view).name, row) for row in rows.tolist()} - known)
        return read(cache, view, rows, omit=omit)

    monkeypatch.setattr(Shard, "will_need", record)
    monkeypatch.setattr(Cache, "read", check)
    assert same(weights(run.experiment(None, cache=cached(tmp_path))), live)
    assert not any(unannounced)
    assert sum(announced) == 2 * 40  # each row once in five epochs
    monkeypatch.delattr(os, "posix_fadvise")
    assert same(weights(run.experiment(None, cache=cached(tmp_path))), live)


@pytest.mark.parametrize(("log_every", "step"), [(3, 9), (10**6, 14)])
def test_inputs_are_compared_on_the_device_and_read_at_log_lines(run, tmp_path, monkeypatch, log_every, step):
    """Inputs that depend on their batch: the first epoch of 7 steps builds, the second reads."""
    monkeypatch.setattr(_cached_source, "_is_on_host", lambda _tensor: False)
    experiment = replace(run.experiment(None, cache=cached(tmp_path, views=1)), log_every=log_every)
    experiment.data["train"].dataset.augment = lambda images, _seeds: images + 0.1 * images.flip(0)
    trainer = Trainer(experiment)
    with pytest.raises(DataError, match=r"cache\.teacher: sample \d+ is not the input from which .*view-0000"):
        trainer.fit()
    assert trainer.state.step == step
