"""The folder of a run can be resumed whatever write the run died at, and a resume changes no record of it."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from distill_core.cli import run_experiment
from distill_core.errors import TrainingError

TRUST = ("--trust", "toy")
RECORDS = ("config.source.yaml", "config.resolved.yaml", "command.txt", "environment.json")
CHANGES = ["stages.0.epochs=2"]


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """Skip what costs most of the many short runs here: accelerate collects garbage and records are flushed to disk."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
    monkeypatch.setattr(os, "fsync", lambda _: None)


class Killed(BaseException):
    """No handler of the product catches it, as none catches SIGKILL."""


class Killer:
    """Dies at the n-th write into a folder: at an open that has just emptied the file, before a rename or an fsync."""

    def __init__(self, monkeypatch, folder, at, error):
        self.folder, self.left, self.error, self.calls = Path(folder).resolve(), at, error, 0
        monkeypatch.setattr(io, "open", self._open(io.open))
        for name in ("replace", "rename", "fsync"):
            monkeypatch.setattr(os, name, self._before(getattr(os, name)))

    def _tick(self):
        self.calls += 1
        if self.calls == self.left:
            raise self.error

    def _open(self, real):
        def opened(file, mode="r", *arguments, **options):
            handle = real(file, mode, *arguments, **options)
            inside = isinstance(file, str | Path) and self.folder in Path(file).resolve().parents
            if inside and set(mode) & set("wax+"):
                try:
                    self._tick()
                except BaseException:
                    handle.close()
                    raise
            return handle

        return opened

    def _before(self, real):
        def called(*arguments, **options):
            self._tick()
            return real(*arguments, **options)

        return called


def run(toy, folder, *, resume=False):
    return run_experiment(toy, CHANGES, output=folder, trust=["toy"], quiet=True, resume=resume)


def die(toy, folder, at, *, resume, error=Killed):
    """Run until the n-th write; whether it died."""
    with pytest.MonkeyPatch.context() as patch:
        Killer(patch, folder, at, error)
        try:
            run(toy, folder, resume=resume)
        except (Killed, OSError, TrainingError):
            return True
    return False


def state_of_records(folder):
    """Contents, and the times at which they were written."""
    return {name: ((folder / name).read_bytes(), (folder / name).stat().st_mtime_ns) for name in RECORDS}


def assert_ends_as(whole, toy, folder, at):
    results = run(toy, folder, resume=True)
    assert {**results, "seconds": 0} == {**whole, "seconds": 0}, f"killed at write {at}"
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    assert not list(folder.rglob("*.tmp")), f"killed at write {at}"


@pytest.mark.parametrize(("error", "every"), [(Killed, 1), (OSError(errno.ENOSPC, "No space left on device"), 3)])
def test_a_run_that_dies_at_any_write_is_resumed_to_the_same_end(toy, error, every):
    whole = run(toy, "whole")
    at = 1
    while die(toy, folder := Path(f"killed-{at}"), at, resume=False, error=error):
        assert_ends_as(whole, toy, folder, at)
        shutil.rmtree(folder)
        at += every
    assert at > 40


def test_a_resume_killed_at_any_write_leaves_the_records_and_is_resumed(toy):
    whole = run(toy, "whole")
    begun = Path("begun")
    assert die(toy, begun, 46, resume=False)
    assert (begun / "checkpoints" / "latest").is_file()
    records = state_of_records(begun)
    at = 1
    while True:
        folder = Path(f"resumed-{at}")
        shutil.copytree(begun, folder)
        died = die(toy, folder, at, resume=True)
        assert state_of_records(folder) == records
        if not died:
            break
        assert_ends_as(whole, toy, folder, at)
        shutil.rmtree(folder)
        at += 1
    assert at > 15


def begun(toy, folder):
    """Two of three epochs, in a folder of its own."""
    changes = ["callbacks.0.epoch=2"]
    toy.write_text(toy.read_text().replace("callbacks:\n", "callbacks:\n  - !import_call:toy.Interrupt {epoch: 9}\n"))
    with pytest.raises(KeyboardInterrupt):
        run_experiment(toy, changes, output=folder, trust=["toy"], quiet=True)
    toy.write_text(toy.read_text().replace("epoch: 9", "epoch: 2"))
    return Path(folder)


def test_without_a_pointer_the_newest_whole_checkpoint_is_taken_up(toy, distill):
    folder = begun(toy, "out")
    (folder / "checkpoints" / "latest").unlink()
    ended = distill("run", toy, "--output", "out", "--resume", *TRUST)
    assert ended.code == 130  # it came to the end of the second epoch again
    assert "the run starts from the beginning" not in ended.err
    steps = [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)


def test_where_no_checkpoint_is_whole_the_run_does_not_start_from_the_beginning(toy, distill):
    folder = begun(toy, "out")
    for path in (folder / "checkpoints").glob("step-*/manifest.json"):
        path.unlink()
    before = (folder / "metrics.jsonl").read_bytes()
    ended = distill("run", toy, "--output", "out", "--resume", *TRUST)
    assert ended.code == 1
    assert "there is no checkpoint to resume from in out/checkpoints" in ended.err
    assert (folder / "metrics.jsonl").read_bytes() == before


def test_torn_last_lines_are_completed_or_dropped(toy, distill):
    folder = begun(toy, "out")
    for name, torn in (("metrics.jsonl", b'{"stage": 0, "epo'), ("log.txt", b"epoch 2/3  lo\xe2\x80")):
        with (folder / name).open("ab") as file:
            file.write(torn)
    distill("run", toy, "--output", "out", "--resume", *TRUST)
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        json.loads(line)
    lines = (folder / "log.txt").read_bytes().split(b"\n")
    assert any(line == b"epoch 2/3  lo\xe2\x80" for line in lines)


@pytest.mark.parametrize("command", [("evaluate", "out"), ("export", "out")])
@pytest.mark.parametrize("damage", ["flipped", "cut", "other"])
def test_damaged_weights_are_refused(toy, distill, command, damage):
    run(toy, "out")
    file = Path("out/student.safetensors")
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        content[-3] ^= 4
    if damage == "other":
        save_file({name: -value for name, value in load_file(file).items()}, file)
    else:
        file.write_bytes(content[: -8 if damage == "cut" else None])
    ended = distill(*command, *TRUST)
    assert ended.code == 2
    assert "out/student.safetensors is damaged: its size or SHA-256 differs from the one in results.json" in ended.err


def test_the_results_name_the_weights_by_their_hash(toy):
    results = run(toy, "out")
    file = Path("out/student.safetensors")
    assert results["files"] == {
        "student.safetensors": {"bytes": file.stat().st_size, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    }


@pytest.mark.parametrize(
    "change",
    [
        "stages.0.train=[nobody]",
        "stages.0.losses.kd.inputs.student=student.nowhere",
        "stages.0.losses.kd.inputs.x=student",
    ],
)
def test_a_refused_config_leaves_no_folder(toy, distill, change):
    ended = distill("run", toy, change, "--output", "new/deep/out", *TRUST)
    assert ended.code in (1, 2)
    assert "Traceback" not in ended.err
    assert not Path("new").exists()
    Path("mine").mkdir()
    distill("run", toy, change, "--output", "mine", *TRUST)
    assert Path("mine").is_dir()
