"""Checkpoints are written in a thread: the run goes on, nothing of it leaks into the file, and no error is lost."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial

import pytest
import torch
from torch import nn

from distill_core.errors import TrainingError
from distill_core.train import Callback, Checkpoint, Evaluate, Stage, Trainer
from distill_core.train.checkpoints import _store
from distill_core.train.checkpoints._state_tree import pack
from distill_core.train.checkpoints._store import CheckpointStore

from ...chaos.life import watch
from ..killing import KillAt, KillError


class Gate:
    """Holds every writing thread back until it is opened."""

    def __init__(self, monkeypatch, write=_store.write_checkpoint):
        self.opened, self.entered = threading.Event(), threading.Event()

        def held(*arguments):
            self.entered.set()
            assert self.opened.wait(60)
            return write(*arguments)

        monkeypatch.setattr(_store, "write_checkpoint", held)


@pytest.fixture
def gate(monkeypatch):
    gate = Gate(monkeypatch)
    yield gate
    gate.opened.set()


def full(*arguments):
    raise OSError(28, "No space left on device")


FULL = "the checkpoint .*step-0*{} cannot be written: No space left on device"


def test_writing_does_not_hold_up_the_caller_and_readers_wait(tmp_path, gate):
    store = CheckpointStore(tmp_path)
    store.write("step-1", {"w": torch.ones(3)})
    assert gate.entered.wait(60)  # `write` has returned, and nothing is on disk
    assert not list(tmp_path.glob("step-*"))
    threading.Timer(0.1, gate.opened.set).start()
    assert store.name("latest") == "step-1"


@pytest.mark.parametrize("read", ["name", "read", "read_named", "newest_intact", "warn_of_damaged_best"])
def test_every_reader_waits(tmp_path, gate, read):
    store = CheckpointStore(tmp_path)
    store.write("step-1", {"w": torch.ones(3)}, best=True)
    threading.Timer(0.1, gate.opened.set).start()
    arguments = {"name": ["best"], "read": ["best"], "read_named": ["step-1"]}.get(read, [])
    answer = getattr(store, read)(*arguments)
    assert (tmp_path / "step-1" / "manifest.json").is_file()
    assert answer is False or answer


def nests(model, optimizer):
    """The state of a run holds the tensors that training changes in place."""
    return {"models": {"student": model.state_dict()}, "optimizer": optimizer.state_dict(), "list": [1, (2, 3)]}


@pytest.mark.parametrize("earlier", [False, True])  # whether the copies go into memory of an earlier checkpoint
def test_a_checkpoint_is_the_state_when_it_was_saved(tmp_path, gate, earlier):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(model.parameters())
    store = CheckpointStore(tmp_path)

    def train():
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()

    train()
    if earlier:
        gate.opened.set()
        store.write("step-0", nests(model, optimizer))
        train()
        store.name("latest")
        gate.opened.clear()
    expected, tree = pack(nests(model, optimizer))
    expected = {name: value.clone() for name, value in expected.items()}
    content = nests(model, optimizer)
    store.write("step-1", content)
    train()
    content["list"][0] = content["models"] = None
    gate.opened.set()
    saved, saved_tree = pack(store.read("latest"))
    assert {name: str(value) for name, value in saved.items()} == {name: str(value) for name, value in expected.items()}
    assert saved_tree == tree


def test_copies_are_reused_only_where_shape_and_dtype_are_the_same():
    first, _ = pack({"a": torch.zeros(3), "b": torch.zeros(3), "c": torch.zeros(3)})
    wanted = {"a": torch.ones(3), "b": torch.ones(2), "c": torch.ones(3, dtype=torch.half), "d": torch.ones(1)}
    second, _ = pack(wanted, first)
    assert second["a"] is first["a"]
    assert second.keys() == wanted.keys()
    assert all(second[name].dtype == value.dtype and torch.equal(second[name], value) for name, value in wanted.items())


def test_an_error_is_raised_by_the_next_save_and_the_one_after_works(tmp_path, monkeypatch):
    store = CheckpointStore(tmp_path)
    store.write("step-1", {"w": torch.ones(3)})
    store.wait()
    with monkeypatch.context() as patch:
        patch.setattr(_store, "write_checkpoint", full)
        store.write("step-2", {"w": torch.ones(3)})
        assert store.name("latest") == "step-1"  # readers see what is there, and leave the error
    with pytest.raises(TrainingError, match=FULL.format(2)) as error:
        store.write("step-3", {"w": torch.ones(3)})
    assert "go on with --resume from step-1, which is untouched" in str(error.value)
    store.write("step-3", {"w": torch.ones(3)})
    store.wait()
    assert store.name("latest") == "step-3"


def test_an_error_is_raised_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(_store, "write_checkpoint", full)
    store = CheckpointStore(tmp_path)
    store.write("step-1", {"w": torch.ones(3)})
    with pytest.raises(TrainingError, match=FULL.format(1)):
        store.wait()
    store.wait()


class FullFrom(Callback):
    """The disk is full from a step on."""

    def __init__(self, monkeypatch, step):
        self.monkeypatch, self.step = monkeypatch, step

    def on_step_end(self, run):
        if run.state.step == self.step:
            run.store.name("latest")
            self.monkeypatch.setattr(_store, "write_checkpoint", full)


@pytest.mark.parametrize("step", [1, 10, 14])  # of 14: the first of two, one in between, the last checkpoint
def test_a_run_whose_disk_is_full_ends_with_the_error(experiment, tmp_path, monkeypatch, step):
    run = experiment(callbacks=[FullFrom(monkeypatch, step), Checkpoint(every_steps=3)])
    with pytest.raises(TrainingError, match=r"cannot be written: No space left on device"):
        Trainer(run, output=tmp_path).fit()
    assert not (tmp_path / "results.json").exists()


def test_a_run_that_fails_logs_that_its_checkpoint_failed(experiment, tmp_path, monkeypatch, caplog):
    callbacks = [FullFrom(monkeypatch, 1), KillAt(4), Checkpoint(every_steps=3)]
    with pytest.raises(KillError):
        Trainer(experiment(callbacks=callbacks), output=tmp_path).fit()
    assert "step-00000003 cannot be written: No space left on device" in caplog.text


def test_the_folder_is_held_until_the_checkpoint_of_a_failed_run_is_on_disk(experiment, tmp_path, gate):
    threading.Timer(0.5, gate.opened.set).start()
    with pytest.raises(KillError):
        Trainer(experiment(callbacks=[KillAt(4), Checkpoint(every_steps=3)]), output=tmp_path).fit()
    assert (tmp_path / "checkpoints" / "latest").read_text() == "step-00000003\n"


def test_training_goes_on_while_a_checkpoint_is_written(experiment, tmp_path, gate):
    class Open(Callback):
        """Open the gate three steps after the first checkpoint began."""

        def on_step_end(self, run):
            if run.state.step == 6:
                assert gate.entered.is_set()
                assert not list((tmp_path / "checkpoints").glob("step-*"))
                gate.opened.set()

    run = experiment(callbacks=[Open(), Checkpoint(every_steps=3)])
    Trainer(run, output=tmp_path).fit()
    assert gate.opened.is_set()


def test_the_files_are_those_of_the_same_run_without_a_thread(experiment, tmp_path, monkeypatch):
    """Every checkpoint, byte for byte: what the thread writes does not depend on what training does meanwhile."""

    def trained(folder):
        run = experiment()
        evaluate = Evaluate(run.data["val"], run.callbacks[0].evaluation.metrics)
        stages = [run.stages[0], Stage(epochs=2, train=["student", "losses"], accumulate=2)]
        callbacks = [evaluate, Checkpoint(best="top1", every_steps=2, keep=99)]
        adam = partial(torch.optim.AdamW, lr=0.01)
        stages[0] = Stage(epochs=1, optimizer=adam).after(stages[0])
        Trainer(experiment(stages=stages, callbacks=callbacks, ema={"student": 0.9}), output=tmp_path / folder).fit()
        files = sorted((tmp_path / folder / "checkpoints").rglob("state.*"))
        return {str(path.relative_to(tmp_path / folder)): path.read_bytes() for path in files}

    expected = trained("threaded")
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)
    monkeypatch.setattr(threading.Thread, "join", lambda thread: None)
    assert trained("plain") == expected


def live(folder, fatal):
    """Write two checkpoints, and die at an access to the folder within the second; return the number of accesses."""
    store = CheckpointStore(folder)
    store.write("step-1", {"w": torch.ones(3)}, best=True)
    store.wait()
    accesses = watch(folder, fatal)
    store.write("step-2", {"w": torch.ones(100)}, best=True)
    store.wait()
    return accesses()


def test_a_kill_at_any_access_of_the_thread_leaves_the_previous_checkpoint_or_the_new_one(tmp_path):
    def life(name, fatal):
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1]
        code = 255
        try:
            code = live(tmp_path / name, fatal)
        finally:
            os._exit(code)

    accesses = os.waitstatus_to_exitcode(life("whole", None))
    assert 10 < accesses < 100
    found = []
    for fatal in range(accesses):
        folder = tmp_path / str(fatal)
        assert os.waitstatus_to_exitcode(life(str(fatal), fatal)) == -signal.SIGKILL
        resumed = CheckpointStore(folder)
        state, damaged = resumed.newest_intact()
        assert not damaged
        assert not resumed.warn_of_damaged_best()
        found.append(len(state["w"]))
        resumed.write("step-2", {"w": torch.ones(100)}, best=True)
        resumed.wait()
        assert len(resumed.read("best")["w"]) == 100
        assert not list(folder.glob(".*"))
    assert found == sorted(found)
    assert set(found) == {3, 100}
