"""A run with a cached teacher is the run with a live one."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from distill_core.errors import DataError, WiringError
from distill_core.experiment import CacheSettings
from distill_core.train import Callback, Checkpoint, Experiment, Term, Trainer

from .caching import Calls, KillAt, KilledError, cached, same, weights

SCRIPT = Path(__file__).parent / "cached_run.py"
RUN = {"cwd": Path(__file__).parent}


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


class LossLog(Callback):
    def __init__(self):
        self.losses = []

    def on_log(self, trainer, record):
        self.losses.append(record["loss"])


@pytest.mark.parametrize(("codec", "tolerance"), [("float16", 1e-3), ("bfloat16", 1e-2), ("int8", 3e-2)])
def test_lossy_codecs_change_the_loss_little(run, tmp_path, codec, tolerance):
    live, lossy = LossLog(), LossLog()
    Trainer(run.experiment(None, views=2), callbacks=[live]).fit()
    building = run.experiment(None, cache=cached(tmp_path, codec))
    Trainer(building, callbacks=[lossy]).fit()
    assert live.losses != lossy.losses
    torch.testing.assert_close(torch.tensor(lossy.losses), torch.tensor(live.losses), rtol=0, atol=tolerance)
    again = LossLog()
    Trainer(run.experiment(None, cache=cached(tmp_path, codec)), callbacks=[again]).fit()
    assert again.losses == lossy.losses  # what is read is what was given while building


@pytest.mark.parametrize("kill", [3, 9, 10, 16])
def test_interrupted_and_resumed(run, tmp_path, kill):
    """Checkpoints are written after every fourth step: the steps since then are done again."""
    live = weights(run.experiment(None, views=2))

    def experiment():
        return replace(run.experiment(None, cache=cached(tmp_path / "cache")), callbacks=[Checkpoint(every_steps=4)])

    with pytest.raises(KilledError):
        Trainer(experiment(), output=tmp_path / "run", callbacks=[KillAt(kill)]).fit()
    second = experiment()
    has = (tmp_path / "run" / "checkpoints" / "latest").is_file()
    assert has == (kill > 4)
    Trainer(second, output=tmp_path / "run").fit(resume=has)
    assert same(dict(second.models["student"].state_dict()), live)


@pytest.mark.parametrize(("processes", "mix"), [(1, ""), (2, ""), (2, "mix")])
def test_killed_and_resumed_in_processes_of_their_own(run, tmp_path, processes, mix):
    """SIGKILL in the epoch that builds the second view; live and cached runs of as many processes have equal bits."""

    def launch(*arguments, fails=False):
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command = [sys.executable, *(torchrun if processes > 1 else []), str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr

    launch(tmp_path / "live", "", 0, mix)
    launch(tmp_path / "killed", tmp_path / "cache", 11, mix, fails=True)
    assert [path.stem for path in tmp_path.glob("cache/teacher-*/view-*.json")] == ["view-0000"]
    launch(tmp_path / "killed", tmp_path / "cache", 0, mix)
    launch(tmp_path / "read", tmp_path / "cache", 0, mix)
    live = load_file(tmp_path / "live" / "student.safetensors")
    assert same(load_file(tmp_path / "killed" / "student.safetensors"), live)
    assert same(load_file(tmp_path / "read" / "student.safetensors"), live)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_cache_built_ahead_has_the_same_bytes_whoever_builds_it(run, tmp_path, monkeypatch, processes):
    """Killed while the second view is built, and called again; what was stored is not computed again."""
    import cached_build

    monkeypatch.setattr("distill_core.train.teachers._caches.FLUSH_EVERY", 0.0)
    assert cached_build.build(str(tmp_path / "whole")) == 2 * 7 + 1

    def launch(*arguments):
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        script = SCRIPT.parent / "cached_build.py"
        command = [sys.executable, *(torchrun if processes > 1 else []), str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    assert launch(tmp_path / "built", 11).returncode != 0
    assert [path.stem for path in tmp_path.glob("built/*/view-*.json")] == ["view-0000"]
    assert list(tmp_path.glob("built/*/view-0001.*.rows"))
    again = launch(tmp_path / "built")
    assert again.returncode == 0, again.stderr
    calls = re.findall(r"calls: (\d+)", again.stdout)  # lines of several processes may run into each other
    assert len(calls) == processes
    assert all(0 < int(count) < 7 for count in calls)
    first, second = ({path.name: path.read_bytes() for path in tmp_path.glob(f"{folder}/*/view-*")} for folder in
                     ("whole", "built"))  # fmt: skip
    assert first == second
    assert len(first) == 4


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


class FewClasses(nn.Module):
    """Cross-entropy with a few weighted classes."""

    def forward(self, student, weights, index):
        return -(weights * student.log_softmax(1).gather(1, index)).sum(1).mean()


def few(student, log_probs, index):
    return -(log_probs.exp() * student.log_softmax(1).gather(1, index)).sum(1).mean()


@pytest.mark.parametrize("codec", ["topk-2", "sampled-8"])
def test_sparse_codecs_give_their_fields(run, tmp_path, codec):
    first = "log_probs" if codec == "topk-2" else "weights"
    loss = few if codec == "topk-2" else FewClasses()
    inputs = {"student": "student", first: f"teacher:out.{first}", "index": "teacher:out.index"}
    terms = {"kd": Term(loss=loss, inputs=inputs)}
    results = []
    for _ in range(2):
        made = run.experiment(None, cache=cached(tmp_path, codec))
        calls = Calls(made.models["teacher"][0])
        results.append(weights(replace(made, stages=[replace(made.stages[0], losses=terms)])))
    assert calls.count == 0
    assert same(*results)


REFUSED = [
    ("topk-2", {"teacher": "teacher"}, "losses.kd: KDLike takes 'teacher', but the codec 'topk-2' of cache.teacher gives "
     "'teacher:out.log_probs' and 'teacher:out.index'\n  hint: use the codec float32, float16, bfloat16 or int8"),
    ("topk-2", {"teacher": "teacher:out.weights"}, "losses.kd: KDLike takes 'teacher:out.weights', but the codec 'topk-2' of "
     "cache.teacher gives 'teacher:out.log_probs' and 'teacher:out.index'\n  hint: use the codec 'sampled-64'"),
    ("float16", {"teacher": "teacher:out.log_probs", "index": "teacher:out.index"}, "losses.kd: KDLike takes "
     "'teacher:out.log_probs' and 'teacher:out.index', but the codec 'float16' of cache.teacher gives the complete tensor\n"
     "  hint: use the codec 'topk-8'"),
]  # fmt: skip


class KDLike(nn.Module):
    def forward(self, student, teacher, index=None):
        return nn.functional.mse_loss(student, teacher)


@pytest.mark.parametrize(("codec", "inputs", "message"), REFUSED)
def test_what_a_codec_cannot_give_is_refused_before_the_first_step(run, tmp_path, codec, inputs, message):
    made = run.experiment(None, cache=cached(tmp_path, codec))
    calls = Calls(made.models["teacher"][0])
    terms = {"kd": Term(loss=KDLike(), inputs={"student": "student", **inputs})}
    with pytest.raises(WiringError) as failure:
        weights(replace(made, stages=[replace(made.stages[0], losses=terms)]))
    assert str(failure.value) == message
    assert calls.count == 0


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


def test_each_tap_has_its_own_codec(run, tmp_path):
    """The output as a few classes, one feature map in eight bits, the other exactly."""
    codec = {"teacher": "topk-2", "teacher.1": "int8"}
    inputs = {"student": "student", "log_probs": "teacher:out.log_probs", "index": "teacher:out.index"}
    results = []
    for _ in range(2):
        made = run.experiment(None, cache=cached(tmp_path, codec))
        calls = Calls(made.models["teacher"][0])
        terms = {**made.stages[0].losses, "kd": Term(loss=few, inputs=inputs)}
        results.append(weights(replace(made, stages=[replace(made.stages[0], losses=terms)])))
    assert calls.count == 0
    assert same(*results)
    (shard, _) = sorted(tmp_path.glob("teacher-*/view-*.safetensors"))
    types = {name: (tensor.dtype, *tensor.shape[1:]) for name, tensor in load_file(shard).items()}
    assert types == {
        "#log_probs": (torch.float32, 2), "#index": (torch.int32, 2), "1#values": (torch.int8, 16, 8, 8),
        "1#scale": (torch.float32,), "5#values": (torch.float32, 16, 4, 4), "#input": (torch.int64,),
    }  # fmt: skip
    made = run.experiment(None, cache=cached(tmp_path, codec))
    with pytest.raises(WiringError) as failure:
        weights(made)
    assert str(failure.value) == (
        "losses.kd: kd takes 'teacher', but the codec 'topk-2' of cache.teacher gives 'teacher:out.log_probs' and "
        "'teacher:out.index'\n  hint: use the codec float32, float16, bfloat16 or int8"
    )


def test_two_runs_share_a_cache(run, tmp_path, caplog):
    """The second finds the cache held, and computes what is not there."""
    live = weights(run.experiment(None, views=2))
    inner = {}

    class Nested(Callback):
        def on_step_end(self, trainer):
            if trainer.state.step == 9:
                inner["weights"] = other()

    def other():
        code = f"import cached_run; cached_run.main({str(tmp_path / 'other')!r}, {str(tmp_path / 'cache')!r})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, **RUN)
        assert done.returncode == 0, done.stderr
        return load_file(tmp_path / "other" / "student.safetensors")

    outer = run.experiment(None, cache=cached(tmp_path / "cache"))
    Trainer(outer, callbacks=[Nested()]).fit()
    assert same(dict(outer.models["student"].state_dict()), live)
    assert same(inner["weights"], live)


def test_the_teacher_is_not_changed(run, tmp_path):
    experiment = run.experiment(None, cache=cached(tmp_path))
    before = {name: tensor.clone() for name, tensor in experiment.models["teacher"].state_dict().items()}
    weights(experiment)
    assert same(before, dict(experiment.models["teacher"].state_dict()))
