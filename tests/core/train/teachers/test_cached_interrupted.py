"""Caches of runs that are killed, resumed, distributed or at work at the same time."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from distill_core.train import Callback, Checkpoint, Trainer

from ..killing import KillAt, KillError
from ..state_dicts import same
from .caching import cached, weights

SCRIPT = Path(__file__).parent / "cached_run.py"
RUN = {"cwd": Path(__file__).parent}


@pytest.mark.parametrize("kill", [3, 9, 10, 16])
def test_interrupted_and_resumed(run, tmp_path, kill):
    """Checkpoints are written after every fourth step: the steps since then are done again."""
    live = weights(run.experiment(None, views=2))

    def experiment():
        return replace(run.experiment(None, cache=cached(tmp_path / "cache")), callbacks=[Checkpoint(every_steps=4)])

    with pytest.raises(KillError):
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


def without_time(path):
    """Return the content of a file of a cache; a manifest also holds the time when its file was written."""
    content = path.read_bytes()
    return re.sub(rb'"mtime_ns": \d+', b"", content) if path.suffix == ".json" else content


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
    first, second = ({path.name: without_time(path) for path in tmp_path.glob(f"{folder}/*/view-*")} for folder in
                     ("whole", "built"))  # fmt: skip
    assert first == second
    assert len(first) == 4


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
