"""`distill run`: the folder, the lines, how it ends."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

from distill_core.cli import run_experiment
from distill_core.train.progress import describe_record

TRUST = ("--trust", "toy")
FILES = {
    "config.source.yaml",
    "config.resolved.yaml",
    "command.txt",
    "environment.json",
    "log.txt",
    ".lock",
    "metrics.jsonl",
    "results.json",
    "checkpoints",
    "student.safetensors",
}


def test_a_run_writes_its_folder_and_prints_its_results(toy, distill):
    ended = distill("run", toy, "stages.0.epochs=2", "--output", "out", *TRUST)
    assert ended.code == 0
    assert {path.name for path in Path("out").iterdir()} == FILES
    assert Path("out/config.source.yaml").read_bytes() == toy.read_bytes()
    assert (
        Path("out/command.txt").read_text() == "distill run small/toy.yaml stages.0.epochs=2 --output out --trust toy\n"
    )
    assert "epochs: 2" in Path("out/config.resolved.yaml").read_text()
    results = json.loads(Path("out/results.json").read_text())
    assert results["last"]["epoch"] == 2
    best = f"{results['best']['val']['share']:.4f}"
    assert re.search(rf"best \(max share on val\) +{results['best']['epoch']} +{best} +0\.\d+", ended.out)
    assert re.search(r"\n +last +2 +0\.\d+ +0\.\d+", ended.out)
    assert ended.err.endswith("in out\n")


def test_the_environment_names_what_can_change_a_number(toy, distill):
    distill("run", toy, "stages.0.epochs=1", "--output", "out", *TRUST)
    environment = json.loads(Path("out/environment.json").read_text())
    assert environment.keys() == {
        "python", "platform", "packages", "torch", "device", "device_name", "git", "working_directory",
    }  # fmt: skip
    assert environment["working_directory"] == str(Path.cwd())
    assert environment["device"] in ("cpu", "cuda")
    assert environment["git"] is None
    assert "yaml" not in environment["packages"]
    assert {"click", "torch"} <= environment["packages"].keys()
    assert ("timm" in environment["packages"]) == ("timm" in sys.modules)


def test_lines_on_no_terminal_are_plain_and_those_of_the_log(toy, distill):
    ended = distill("run", toy, "stages.0.epochs=1", "--output", "out", *TRUST)
    lines = ended.err.splitlines()
    assert lines[:2] == [
        "teacher: Net, 386 parameters · student: Net, 50 parameters · on cpu in fp32 with seed 3",
        "stage 1/1 · 1 epoch of 3 steps · loss = 0.1 · ce + 0.9 · kd · teacher in eval mode, student learns",
    ]
    number = r"\d[\d.e+-]*"
    assert re.fullmatch(
        rf"stage 1/1 · epoch 1/1 · step 2 · train · loss {number} \(ce {number}, kd {number}\) · lr 0.1 · [\d,]+ samples/s",
        lines[2],
    )
    assert re.fullmatch(rf"stage 1/1 · epoch 1/1 · step 3 · val · share {number}", lines[4])
    assert "\x1b" not in ended.err
    log = Path("out/log.txt").read_text().splitlines()
    assert log[:5] == lines[:5]
    assert log[-1] == "in out"


def test_the_default_folder_is_named_after_the_file_and_the_time(toy, distill):
    assert distill("run", toy, "stages.0.epochs=1", *TRUST).code == 0
    (folder,) = Path("runs").glob("*/*/*")
    assert re.fullmatch(r"runs/small/toy/\d{8}T\d{6}\.\d{6}Z", str(folder))


def test_a_taken_folder_is_refused_before_anything_happens(toy, distill):
    Path("out").mkdir()
    Path("out/mine.txt").write_text("mine")
    ended = distill("run", toy, "--output", "out", *TRUST)
    assert ended == (
        2,
        "",
        "out exists and is not empty\n  hint: resume the run with --resume, or choose another --output\n",
    )
    assert [path.name for path in Path("out").iterdir()] == ["mine.txt"]


def test_a_finished_run_is_not_trained_again(toy, distill):
    words = ["run", toy, "--output", "out", *TRUST]
    assert "finished already" not in distill(*words).err
    ended = distill(*words, "--resume")
    assert ended.code == 0
    assert "the run was finished already: nothing was trained, and the test was repeated\n" in ended.err
    longer = distill(*words, "stages.0.epochs=5", "--resume", "--change")
    assert longer.code == 0, longer.err
    assert "finished already" not in longer.err


def test_resume_without_a_folder_is_refused(toy, distill):
    ended = distill("run", toy, "--resume", *TRUST)
    assert ended == (2, "", "--resume requires the folder of the run\n  hint: add --output DIR\n")


def test_an_interrupted_run_says_how_to_go_on_and_ends_as_if_nothing_had_been(toy, distill):
    text = toy.read_text().replace("callbacks:\n", "callbacks:\n  - !import_call:toy.Interrupt {epoch: 9}\n")
    toy.write_text(text)
    whole = run_experiment(toy, output="whole", trust=["toy"], quiet=True)
    # The interrupting callback is first: the checkpoint of its epoch is not written yet.
    ended = distill("run", toy, "callbacks.0.epoch=2", "--output", "out", *TRUST)
    assert ended.code == 130
    assert ended.err.splitlines()[-2:] == [
        "interrupted",
        "resume with: distill run small/toy.yaml callbacks.0.epoch=2 --output out --trust toy --resume",
    ]
    assert Path("out/log.txt").read_text().endswith("interrupted\n")
    resolved = Path("out/config.resolved.yaml")
    resolved.write_text(resolved.read_text().replace("epoch: 2", "epoch: 9"))
    assert distill("run", toy, "--output", "out", "--resume", *TRUST).code == 0
    resumed = json.loads(Path("out/results.json").read_text())
    assert {**resumed, "seconds": 0} == {**whole, "seconds": 0}


def test_a_folder_with_another_experiment_is_not_resumed(toy, distill):
    distill("run", toy, "stages.0.epochs=1", "--output", "out", *TRUST)
    ended = distill("run", toy, "stages.0.epochs=2", "--output", "out", "--resume", *TRUST)
    assert ended == (
        2,
        "",
        "the run in out is of another experiment: stages.0.epochs was 1 and is 2\n"
        "  hint: no change affects what was trained so far: accept the changes with `--resume --change`\n",
    )


def test_a_run_that_was_interrupted_before_its_first_checkpoint_starts_again(toy, distill):
    Path("out").mkdir()
    Path("out/log.txt").write_text("begun\n")
    ended = distill("run", toy, "stages.0.epochs=1", "--output", "out", "--resume", *TRUST)
    assert ended.code == 0
    assert "there is no checkpoint yet: the run starts from the beginning" in ended.err
    assert Path("out/log.txt").read_text().startswith("begun\n")


def test_an_error_of_somebodys_code_keeps_its_traceback_and_names_the_line(toy, distill):
    toy.write_text(toy.read_text().replace("toy.Net {width: 4}", "toy.broken {width: 4}"))
    ended = distill("run", toy, "--output", "out", *TRUST)
    assert ended.code == 1
    assert ended.err.startswith("Traceback (most recent call last):\n")
    assert ended.err.splitlines()[-2:] == [
        "ValueError: there is no such width",
        "while building toy.broken at small/toy.yaml:7:12",
    ]
    assert Path("out/log.txt").read_text().endswith("while building toy.broken at small/toy.yaml:7:12\n\n")


def test_a_run_that_fails_for_a_known_reason_prints_the_reason_only(toy, distill):
    ended = distill("run", toy, "stages.0.losses.ce.weight=1e39", "--output", "out", *TRUST)
    assert ended.code == 1
    message = ended.err.splitlines(keepends=True)[-1]
    assert message.startswith("  hint: a lower learning rate")
    assert "Traceback" not in ended.err
    assert Path("out/log.txt").read_text().endswith(message)


def test_debug_shows_the_traceback_too(toy, distill):
    ended = distill("run", toy, "stages.0.losses.ce.weight=1e39", "--output", "out", "--debug", *TRUST)
    assert ended.code == 1
    assert ended.err.count("Traceback (most recent call last):") == 1


def test_a_file_with_a_mistake_is_bad_input_and_leaves_no_folder(toy, distill):
    ended = distill("run", toy, "stages.0.epoch=2", "--output", "out", *TRUST)
    assert ended.code == 2
    assert "did you mean 'epochs'?" in ended.err
    assert not Path("out").exists()


def test_what_is_not_trusted_is_refused(toy, distill):
    ended = distill("run", toy, "--output", "out")
    assert ended.code == 3
    assert "toy.Net" in ended.err
    assert not Path("out").exists()


def test_a_quiet_run_prints_nothing(toy, capsys):
    results = run_experiment(toy, ["stages.0.epochs=1"], output="out", trust=["toy"], quiet=True)
    assert capsys.readouterr() == ("", "")
    assert results == json.loads(Path("out/results.json").read_text())
    assert "best (max share on val)" in Path("out/log.txt").read_text()


def test_two_runs_of_one_seed_are_one(toy):
    first, second = (
        run_experiment(toy, ["stages.0.epochs=1"], output=name, trust=["toy"], quiet=True) for name in ("a", "b")
    )
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert Path("a/student.safetensors").read_bytes() == Path("b/student.safetensors").read_bytes()
    third = run_experiment(toy, ["stages.0.epochs=1", "seed=4"], output="c", trust=["toy"], quiet=True)
    assert third["seed"] == 4
    assert Path("c/student.safetensors").read_bytes() != Path("a/student.safetensors").read_bytes()


@pytest.mark.parametrize("override", ["stages", "=3", "stages.7.epochs=1"])
def test_a_malformed_override_is_shown_with_its_place(toy, distill, override):
    ended = distill("run", toy, override, "--output", "out", *TRUST)
    assert ended.code == 2
    assert ended.err.startswith("command line:1:")
    assert not Path("out").exists()


def test_several_processes_need_to_be_told_the_folder(toy, distill, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    ended = distill("run", toy, *TRUST)
    assert ended == (2, "", "several processes require one common folder\n  hint: add --output DIR\n")


def test_a_run_leaves_its_process_group(toy, distill, tmp_path):
    """A thread of the group that is alive when the interpreter ends aborts the process, and torchrun reports a failure."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        ended = distill("run", toy, "--output", "out", *TRUST)
        assert ended.code == 0, ended.err
        assert not dist.is_initialized()
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def test_slow_rates_are_not_rounded_to_zero():
    shown = {rate: describe_record({"loss": 1.0, "samples_per_second": rate}) for rate in (0.462, 3.04, 1234.5)}
    assert [text.split(" · ")[-1] for text in shown.values()] == ["0.46 samples/s", "3 samples/s", "1,234 samples/s"]


def test_an_interruption_before_the_first_checkpoint_says_how_to_start_again(toy, distill):
    toy.write_text(toy.read_text().replace("callbacks:\n", "callbacks:\n  - !import_call:stop.Stop {}\n"))
    Path("stop.py").write_text(STOP)
    ended = distill("run", toy, "--output", "out", *TRUST, "--trust", "stop")
    assert ended.code == 130
    again = "distill run small/toy.yaml --output out --trust toy --trust stop --resume"
    assert ended.err.splitlines()[-1] == f"there is no checkpoint yet; start again with: {again}"


STOP = """
from distill_core.train import Callback

class Stop(Callback):
    def on_stage_start(self, run) -> None:
        raise KeyboardInterrupt
"""


def test_a_missing_file_suggests_no_file_with_only_the_same_suffix(toy, distill):
    assert distill("run", "small/nofile.yaml").err == "there is no file 'small/nofile.yaml'\n"
    assert distill("run", "small/tey.yml").err == "there is no file 'small/tey.yml'\n  hint: did you mean 'toy.yaml'?\n"
