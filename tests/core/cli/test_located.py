"""An exception in a scheduler or a callback ends the run with its location and the checkpoint to go on from."""

from __future__ import annotations

import pytest

ODD = """
from torch.optim.lr_scheduler import LambdaLR
from distill_core.train import Callback


class Odd(LambdaLR):
    def __init__(self, optimizer, last=7):
        self.last = last
        super().__init__(optimizer, lambda step: 1.0)

    def step(self, epoch=None):
        if self.last_epoch >= self.last:
            raise IndexError("there are no rates left")
        super().step()


class Failing(Callback):
    def __init__(self, event):
        setattr(self, event, self.fail)

    def fail(self, trainer, *arguments):
        if trainer.state.step >= 7:
            raise KeyError("absent")
"""
SCHEDULER = "    scheduler_step: step\n    scheduler: !import_partial:breaks.Odd {}\n    losses:\n"


@pytest.fixture
def run(toy, distill, tmp_path, monkeypatch):
    """Run the toy experiment of 9 steps after a replacement."""
    (tmp_path / "breaks.py").write_text(ODD)
    monkeypatch.delitem(__import__("sys").modules, "breaks", raising=False)

    def run(old, new, *words):
        text = toy.read_text()
        assert old in text
        toy.write_text(text.replace(old, new, 1))
        return distill("run", toy, "--output", "out", "--trust", "toy", "--trust", "breaks", *words)

    return run


def test_a_scheduler(run):
    ended = run("    losses:\n", SCHEDULER)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    message = ended.err[ended.err.index("IndexError") :].splitlines()
    assert message[0] == "IndexError: there are no rates left"
    assert message[1].startswith("stages.0.scheduler (Odd) failed in stage 1, epoch 3, step 8 (breaks.py:")
    assert message[2].startswith("  hint: fix it and resume from out/checkpoints/step-00000006 with --resume")


def test_the_log_has_the_traceback_and_debug_shows_it(run, tmp_path):
    ended = run("    losses:\n", SCHEDULER, "--debug")
    assert "Traceback" in ended.err
    assert "in step\n" in (tmp_path / "out" / "log.txt").read_text()


@pytest.mark.parametrize("event", ["on_epoch_end", "on_log"])
def test_a_callback(run, event):
    ended = run("callbacks:\n", f"callbacks:\n  - !import_call:breaks.Failing {{event: {event}}}\n")
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert "KeyError: 'absent'\ncallbacks.0 (Failing) failed in stage 1, epoch 3, step " in ended.err
    assert "resume from out/checkpoints/step-00000006 with --resume" in ended.err
