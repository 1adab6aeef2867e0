"""`--json` of commands that do something: one object on standard output at the end, all other lines on standard error."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from distill_core.cli._record_output import lines_aside, print_json, record_output

TRUST = ("--trust", "toy")


def printed(distill, *words) -> tuple[dict, str]:
    """Return the object and the other lines of a command."""
    ended = distill(*words, "--json")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("{\n")
    return json.loads(ended.out), ended.err


def test_a_run(toy, distill):
    record, lines = printed(distill, "run", toy, "stages.0.epochs=1", "--output", "out", *TRUST)
    assert record == {"output": "out", **json.loads(Path("out/results.json").read_text())}
    assert "best (max share on val)" in lines
    assert lines.endswith("in out\n")
    again, _ = printed(distill, "run", toy, "stages.0.epochs=1", *TRUST)
    assert Path(again["output"], "results.json").is_file()  # the folder that the run has chosen


def test_a_run_that_is_refused_prints_no_object(toy, distill):
    ended = distill("run", toy, "stages.0.epochs=1", "--json")
    assert (ended.code, ended.out) == (3, "")


def test_what_the_code_of_a_file_prints_is_not_in_the_object(toy, distill):
    module = Path("toy.py")
    module.write_text(module.read_text() + "\nprint('a line of toy.py')\n")
    record, lines = printed(distill, "check", toy, "--deep", *TRUST)
    assert record["problems"] == []
    assert "a line of toy.py\n" in lines


def test_lines_aside_and_json(capsys):
    with lines_aside(as_json=True):
        print("a line")
        print_json({"a": 1})
    with lines_aside(as_json=False):
        print("a result")
    print_json([])
    assert capsys.readouterr() == ('{\n "a": 1\n}\na result\n[]\n', "a line\n")


def test_numbers_that_are_not_finite_are_null(capsys):
    with record_output(as_json=True) as record:
        record |= {"test": {"perplexity": math.inf, "name": "größe"}, "best": [math.nan, 0.5]}
    text = capsys.readouterr().out
    assert json.loads(text, parse_constant=pytest.fail) == {
        "test": {"perplexity": None, "name": "größe"},
        "best": [None, 0.5],
    }
    assert "größe" in text


def test_new(distill, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = distill("new", "first.yaml", "--task", "text").out
    for file in tmp_path.iterdir():
        file.unlink()
    record, printed_lines = printed(distill, "new", "first.yaml", "--task", "text")
    assert printed_lines == lines
    assert record["files"] == ["first.yaml", "first.train.tsv", "first.test.tsv"]
    assert record["commands"] == ["distill check first.yaml", "distill run first.yaml"]
    assert set(record["files"]) == {path.name for path in tmp_path.iterdir()}


def test_convert(distill, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": torch.nn.Linear(3, 2).state_dict(), "epoch": 3}, "a.pt")
    record, lines = printed(distill, "convert", "a.pt", "a.safetensors")
    assert {name: record[name] for name in ("file", "tensors", "numbers")} == {
        "file": "a.safetensors",
        "tensors": 2,
        "numbers": 8,
    }
    assert record["bytes"] == Path("a.safetensors").stat().st_size
    assert lines == "".join(f"{line}\n" for line in record["notes"]) + lines.splitlines(keepends=True)[-1]
    assert lines.splitlines()[-1].startswith("a.safetensors: 2 tensors, 8 numbers, ")


def test_show(toy, distill):
    record, lines = printed(distill, "show", toy, "seed=1")
    assert (record["seed"], record["models.teacher"], record["models.teacher.width"], lines) == (
        1,
        "!import_call:toy.Net",
        16,
        "",
    )


@pytest.mark.parametrize(
    "words", [("slurm", "--output", "out"), ("launch", "--processes", "2", "--dry-run", "--output", "out")]
)
def test_commands_that_print_a_command(toy, distill, words):
    shown = distill(words[0], toy, *words[1:]).out
    record, lines = printed(distill, words[0], toy, *words[1:])
    assert (record["output"], lines) == ("out", "")
    if words[0] == "slurm":
        assert record["script"] == shown
    else:
        assert record["command"][-1] == "--json"  # which the run gets
        assert record["command"][:-1] == shown.split()[1:]
