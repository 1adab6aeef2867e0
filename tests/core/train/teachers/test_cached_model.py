"""A run whose cache is complete does not need the teacher."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from distill_core.data import Loader
from distill_core.errors import DataError, WiringError
from distill_core.experiment import CacheSettings, Evaluation, Metric, SourceSettings, Term
from distill_core.train import CachedModel, Evaluate, Experiment, Trainer

from ..state_dicts import same
from .caching import cached, weights


def without_teacher(run, folder, workers=None, *, settings=None, **options):
    made = run.experiment(workers, cache=settings or cached(folder), **options)
    return replace(made, models={"teacher": CachedModel("teacher", folder), "student": made.models["student"]})


@pytest.mark.parametrize("workers", [None, 0, 2])
@pytest.mark.parametrize("options", [{}, {"mix": True}, {"drop_last": True}])
def test_the_run_ends_as_with_the_teacher(run, tmp_path, workers, options):
    """Two feature maps and the output, five epochs of two views, mixed batches too."""
    expected = weights(run.experiment(workers, cache=cached(tmp_path), **options))
    assert same(weights(without_teacher(run, tmp_path, workers, **options)), expected)


@pytest.mark.parametrize("codec", ["float16", "int8"])
def test_each_codec(run, tmp_path, codec):
    settings = cached(tmp_path, codec)
    weights(run.experiment(None, cache=settings))
    expected = weights(run.experiment(None, cache=settings))
    assert same(weights(without_teacher(run, tmp_path, settings=settings)), expected)


class LazyHint(nn.Module):
    """A regressor that takes its shape from the first batch."""

    def __init__(self):
        super().__init__()
        self.map = nn.LazyConv2d(16, 1)

    def forward(self, student, teacher):
        return nn.functional.mse_loss(self.map(student), teacher)


def test_lazy_losses_and_several_stages(run, tmp_path):
    def staged(made):
        lazy = Term(loss=LazyHint(), inputs={"student": "student.1", "teacher": "teacher.1"})
        first = replace(made.stages[0], epochs=2, losses={"hint": lazy})
        second = replace(
            made.stages[0], epochs=2, losses={**made.stages[0].losses, "lazy": replace(lazy, loss=LazyHint())}
        )
        return replace(made, stages=[first, second])

    for workers in (None, 2):
        expected = weights(staged(run.experiment(workers, cache=cached(tmp_path))))
        assert same(weights(staged(without_teacher(run, tmp_path, workers))), expected)
        shutil.rmtree(tmp_path)


def test_results_do_not_count_parameters_that_do_not_exist(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    Trainer(without_teacher(run, tmp_path), output=tmp_path / "run").fit()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["parameters"].keys() == {"student"}


CHANGES = {
    "transform": lambda e: setattr(e.data["train"].dataset, "augment", partial(e.data["train"].dataset.augment.func, padding=1)),
    "data": lambda e: e.data["train"].dataset.tensors["input"][3, 0, 2, 2].add_(1e-3),
    "seed": lambda e: replace(e, seed=1),
    "codec": lambda e: replace(e, cache={"teacher": replace(e.cache["teacher"], codec="float16")}),
    "views": lambda e: replace(e, cache={"teacher": replace(e.cache["teacher"], views=3)}),
    "dtype": lambda e: replace(e, precision="bf16"),
    "taps": lambda e: e.stages[0].losses.pop("hint"),
}  # fmt: skip


@pytest.mark.parametrize("part", CHANGES)
def test_a_cache_of_something_else_is_refused(run, tmp_path, part):
    weights(run.experiment(None, cache=cached(tmp_path)))
    (folder,) = tmp_path.glob("teacher-*")
    made = without_teacher(run, tmp_path)
    result = CHANGES[part](made)
    changed = result if isinstance(result, Experiment) else made
    with pytest.raises(WiringError) as failure:
        Trainer(changed).fit()
    assert str(failure.value) == (
        f"cache.teacher: 'teacher' is not built, and no cache in {tmp_path} holds these values; of {folder.name} the {part} "
        "differ\n  hint: build it where the model is: distill cache build FILE"
    )


def test_precision_and_compilation_of_the_teacher_belong_to_the_cache(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    changed = without_teacher(run, tmp_path, sources={"teacher": SourceSettings(precision="bf16")})
    with pytest.raises(WiringError, match="the dtype differ"):
        Trainer(changed).fit()


def test_an_incomplete_cache_is_refused(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    (manifest,) = tmp_path.glob("teacher-*/view-0001.json")
    manifest.unlink()
    with pytest.raises(WiringError, match=r"'teacher' is not built, and view 2 of 2 is not complete in .*teacher-"):
        Trainer(without_teacher(run, tmp_path)).fit()


def test_a_damaged_cache_is_refused(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    shard = next(tmp_path.glob("teacher-*/view-0001.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match="is damaged: its SHA-256 differs"):
        Trainer(without_teacher(run, tmp_path)).fit()


def test_caches_of_two_models_are_refused(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    other = run.experiment(None, cache=cached(tmp_path))
    other.models["teacher"][0].weight.data.mul_(2)
    weights(other)
    with pytest.raises(WiringError, match="hold values of different models"):
        Trainer(without_teacher(run, tmp_path)).fit()
    shutil.rmtree(next(tmp_path.glob("teacher-*")))
    Trainer(without_teacher(run, tmp_path)).fit()


def test_no_cache_at_all(tmp_path):
    with pytest.raises(WiringError) as failure:
        CachedModel("teacher", tmp_path)
    assert str(failure.value) == (
        f"cache.teacher: 'teacher' is not built, and {tmp_path} holds no cache of it\n"
        "  hint: build it where the model is: distill cache build FILE"
    )


class Count:
    def reset(self):
        self.total = 0

    def update(self, preds):
        self.total += len(preds)

    def compute(self):
        return float(self.total)


def test_metrics_of_the_teacher_are_refused_before_the_run(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    made = without_teacher(run, tmp_path)
    metrics = {"teachers": Metric(metric=Count(), inputs={"preds": "teacher"})}
    loader = Loader(made.data["train"].dataset, 8)
    for changed in (
        replace(made, test=Evaluation(loader=loader, metrics=metrics)),
        replace(made, callbacks=[Evaluate(loader, metrics)]),
    ):
        with pytest.raises(
            WiringError, match=r"'teacher' is not built, and its cache holds no values for the data of an"
        ):
            Trainer(changed)


def test_modules_of_the_teacher_are_refused(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    made = without_teacher(run, tmp_path)
    losses = made.stages[0].losses
    losses["head"] = Term(
        loss=lambda student, head: student.sum(), inputs={"student": "student", "head": "teacher.5:module"}
    )
    with pytest.raises(WiringError, match="a loss takes one of its modules, but the model is not built"):
        Trainer(made).fit()


def test_without_the_settings_of_a_cache(run, tmp_path):
    weights(run.experiment(None, cache=cached(tmp_path)))
    with pytest.raises(WiringError, match="'teacher' is not built, and the experiment sets no cache for it"):
        Trainer(replace(without_teacher(run, tmp_path), cache={}, views=2))


def test_paths_with_dots_ports_and_indices(tmp_path):
    folder = tmp_path / "teacher-0"
    folder.mkdir()
    addresses = ["", ":in", "layer.0.bn:in", "layer.-1", "layer.0", ":out.logits"]
    (folder / "key.json").write_text(json.dumps({"taps": json.dumps(addresses)}))
    names = [name for name, _ in CachedModel("teacher", tmp_path).named_modules()]
    assert names == ["", "layer", "layer.0", "layer.0.bn", "layer.-1"]
    with pytest.raises(WiringError, match="is not built and cannot run"):
        CachedModel("teacher", str(Path(tmp_path)))(torch.zeros(1))


def test_settings_say_whether_to_build():
    assert CacheSettings(folder="x").build_model
