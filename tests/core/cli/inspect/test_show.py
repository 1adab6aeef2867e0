"""`distill show`."""

from __future__ import annotations

from pathlib import Path


def test_what_is_shown_can_be_shown_again(toy, distill):
    shown = distill("show", toy, "stages.0.epochs=7", "seed=1")
    assert shown.code == 0
    Path("again.yaml").write_text(shown.out)
    assert distill("show", "again.yaml").out == shown.out
    assert "epochs: 7" in shown.out
    assert "*val" in shown.out


def test_it_is_what_a_run_writes_as_resolved(toy, distill):
    shown = distill("show", toy, "stages.0.epochs=1").out
    distill("run", toy, "stages.0.epochs=1", "--output", "out", "--trust", "toy")
    assert Path("out/config.resolved.yaml").read_text() == shown


def test_a_file_that_is_not_there_is_bad_input(distill, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert distill("show", "absent.yaml") == (2, "", "there is no file 'absent.yaml'\n")
