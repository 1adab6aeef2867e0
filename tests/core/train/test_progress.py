"""The display of a run that is started from Python."""

from __future__ import annotations

import io
import re
import sys
from functools import partial
from types import ModuleType

import pytest
import torch
from torch import nn

from distill_core.data import Loader, TensorData
from distill_core.experiment import Evaluation, Experiment, Metric, Stage, Term
from distill_core.train import Callback, Evaluate, Trainer


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Largest:
    def reset(self) -> None:
        self.value = 0.0

    def update(self, preds) -> None:
        self.value = max(self.value, float(preds.max()))

    def compute(self) -> float:
        return self.value


def experiment(**options) -> Experiment:
    torch.manual_seed(0)
    inputs = {"input": "student", "target": "batch.target"}
    losses = {"mse": Term(loss=nn.MSELoss(), inputs=inputs), "l1": Term(loss=nn.L1Loss(), inputs=inputs)}
    data = Loader(TensorData({"input": torch.randn(12, 3), "target": torch.randn(12, 2)}), 4)
    metrics = {"largest": Metric(metric=Largest(), inputs={"preds": "student"})}
    stage = Stage(epochs=2, losses=losses, optimizer=partial(torch.optim.SGD, lr=0.125))
    return Experiment(
        models={"student": nn.Linear(3, 2)}, data={"train": data}, stages=[stage], log_every=1,
        callbacks=[Evaluate(data, metrics)], test=Evaluation(loader=data, metrics=metrics), **options,
    )  # fmt: skip


def test_lines_elsewhere_and_nothing_if_it_is_turned_off(capsys):
    Trainer(experiment()).fit()
    out, err = capsys.readouterr()
    assert out == ""
    head, stage, first, *_ = err.splitlines()
    assert head.startswith("student: Linear")
    assert stage.startswith("stage 1/1 · 2 epochs of 3 steps")
    assert first.startswith("stage 1/1 · epoch 1/2 · step 1 · train · loss ")
    assert "(mse " in first
    assert " · val · largest " in err
    Trainer(experiment(), progress=False).fit()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar_with_terms_metrics_rate_time_and_memory(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "140")
    Trainer(experiment()).fit()
    drawn = terminal.getvalue()
    assert "\x1b[?25l" in drawn
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    last = drawn[drawn.rindex("stage 1/1") :]
    for text in ("epoch 2/2", "left", "/s", "GiB", "(mse ", "l1 ", "lr 0.125", "val largest "):
        assert text in last, text


class Fail(Callback):
    def on_epoch_end(self, run) -> None:
        raise RuntimeError("out of luck")


def test_a_failing_run_gives_the_terminal_back(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    with pytest.raises(RuntimeError, match="out of luck"):
        Trainer(experiment(), callbacks=[Fail()]).fit()
    drawn = terminal.getvalue()
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l"), "the cursor is shown again"


class Notebook:
    """IPython as the kernel of a notebook has it."""

    def __init__(self, monkeypatch) -> None:
        self.cells: list[list[str]] = []
        package, display = ModuleType("IPython"), ModuleType("IPython.display")
        package.get_ipython = type("ZMQInteractiveShell", (), {})
        package.display, display.display = display, self.display
        monkeypatch.setitem(sys.modules, "IPython", package)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, content, *, raw, display_id=False):
        self.cells.append([content["text/plain"]])
        return self if display_id else None

    def update(self, content, *, raw):
        self.cells[-1].append(content["text/plain"])


def test_a_notebook_has_a_line_for_each_stage_that_is_updated_in_place(monkeypatch, capsys):
    notebook = Notebook(monkeypatch)
    Trainer(experiment()).fit()
    assert capsys.readouterr() == ("", "")
    head, bar = notebook.cells
    assert head[0].startswith("student: Linear")
    assert bar[0].startswith("stage 1/1 ░░░░░░░░░░░░░░░░░░░░ epoch 0/2")
    assert bar[-1].startswith("stage 1/1 ████████████████████ epoch 2/2")
    line, losses, metrics = bar[-1].splitlines()
    assert "left" in line
    assert "GiB" in line
    assert "(mse " in losses
    assert metrics.startswith("val largest ")
