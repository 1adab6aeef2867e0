"""`--resume --change`: a file corrected in the middle of a run goes on to the end, and the run says so."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

TRUST = ("--trust", "toy")
SCHEDULE = "    scheduler_step: step\n    scheduler: !import_partial:torch.optim.lr_scheduler.CosineAnnealingLR {}\n    losses:\n"


@pytest.fixture
def begun(toy, distill):
    """A run of 3 epochs that was interrupted in its second."""
    text = toy.read_text().replace("    losses:\n", SCHEDULE)
    interrupt = "callbacks:\n  - !import_call:toy.Interrupt {epoch: 2}\n"
    toy.write_text(text.replace("callbacks:\n", interrupt))
    assert distill("run", toy, "--output", "out", *TRUST).code == 130
    toy.write_text(text)
    return toy


def resume(distill, toy, *words):
    return distill("run", toy, *words[:-1], "--output", "out", "--resume", *TRUST, *words[-1:])


def test_a_corrected_schedule_and_more_epochs_go_on_to_the_end(begun, distill):
    before = {path: path.read_bytes() for path in Path("out").glob("co*")}
    ended = resume(distill, begun, "stages.0.epochs=5", "--change")
    assert ended.code == 0, ended.err
    assert "stages.0.epochs: 3 → 5" in ended.err
    assert "not promised to be bit for bit" in ended.err
    assert "not promised to be bit for bit" in Path("out/log.txt").read_text()
    assert {path: path.read_bytes() for path in before} == before
    assert "epochs: 5" in Path("out/config.resolved.2.yaml").read_text()
    assert "stages.0.epochs=5" in Path("out/command.2.txt").read_text()
    records = [json.loads(line) for line in Path("out/changes.jsonl").read_text().splitlines()]
    assert records[0]["config"] == "config.resolved.2.yaml"
    assert records[0]["changes"]["stages.0.epochs"] == [3, 5]
    last = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()][-1]
    assert (last["epoch"], last["step"]) == (5, 15)
    assert distill("evaluate", "out", *TRUST).code == 0


def test_a_change_that_the_checkpoint_refuses_is_not_recorded(begun, distill):
    assert resume(distill, begun, "stages.0.epochs=4", "--change").code == 0
    before, changes = {path.name for path in Path("out").iterdir()}, Path("out/changes.jsonl").read_bytes()
    ended = resume(distill, begun, "stages.0.epochs=2", "--change")
    assert ended.code != 0
    assert "this is not the run that was interrupted" in ended.err
    assert {path.name for path in Path("out").iterdir()} == before
    assert Path("out/changes.jsonl").read_bytes() == changes
    ended = resume(distill, begun, "stages.0.epochs=4", "--debug")
    assert ended.code == 0, ended.err


def test_the_changed_run_resumes_again_without_a_word(begun, distill):
    assert resume(distill, begun, "stages.0.epochs=5", "--change").code == 0
    assert resume(distill, begun, "stages.0.epochs=5", "--debug").code == 0
    assert not Path("out/config.resolved.3.yaml").exists()
    assert resume(distill, begun, "stages.0.epochs=6", "--change").code == 0
    assert Path("out/config.resolved.3.yaml").exists()


def test_a_sweep_takes_changes_of_its_unfinished_runs(begun, distill):
    Path("runs").mkdir()
    Path("out").rename("runs/seed=3")
    words = ("sweep", begun, "seed=3,4", "stages.0.epochs=4", "--output", "runs", *TRUST)
    refused = distill(*words)
    assert refused.code == 1
    assert "accept the changes with `--resume --change`" in refused.err
    assert distill(*words, "--change").code == 0
    again = distill(*words)
    assert (again.code, again.out.splitlines()[0]) == (0, "1/2 seed=3: already finished")


FUTURE = {
    "epochs": "stages.0.epochs=4",
    "schedule": "+stages.0.scheduler.eta_min=0.01",
    "logging": "log_every=1",
    "evaluation": "test=null",
    "words": "about=mended",
}
PAST = {
    "seed": "seed=4",
    "model": "models.student.width=8",
    "teacher": "models.teacher.width=8",
    "data": "+data.train.size=40",
    "optimizer": "stages.0.optimizer.lr=0.2",
    "loss": "stages.0.losses.kd.weight=0.5",
    "precision": "+precision=bf16",
    "best": "+callbacks.1.mode=min",
}


@pytest.mark.parametrize("name", FUTURE)
def test_without_change_the_refusal_names_the_key_and_the_option(begun, distill, name):
    ended = resume(distill, begun, FUTURE[name], "--debug")
    assert ended.code == 2
    assert FUTURE[name].strip("+").partition("=")[0] in ended.err
    assert "accept the changes with `--resume --change`" in ended.err


@pytest.mark.parametrize("name", FUTURE)
def test_what_cannot_change_the_past_is_accepted(begun, distill, name):
    ended = resume(distill, begun, FUTURE[name], "--change")
    assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err


@pytest.mark.parametrize("name", PAST)
def test_what_would_change_the_past_is_refused_with_its_key(begun, distill, name):
    ended = resume(distill, begun, PAST[name], "--change")
    key = PAST[name].strip("+").partition("=")[0]
    assert ended.code == 2
    assert "would change what was trained so far" in ended.err
    assert key.rpartition(".")[2] in ended.err.partition("hint: ")[2]
    assert not Path("out/changes.jsonl").exists()
    assert not Path("out/config.resolved.2.yaml").exists()


def test_a_later_stage_may_be_added(begun, distill):
    begun.write_text(begun.read_text().replace("\ncallbacks:", "  - {epochs: 1}\n\ncallbacks:"))
    ended = resume(distill, begun, "about=two stages", "--change")
    assert (ended.code, "stages.1.epochs: None → 1" in ended.err) == (0, True), ended.err


def test_change_without_resume_is_refused(toy, distill):
    ended = distill("run", toy, "--output", "out", "--change", *TRUST)
    assert ended.code == 2
    assert "add --resume and" in ended.err


def test_changes_are_logged_once(begun, distill):
    ended = resume(distill, begun, "stages.0.epochs=5", "--change")
    assert ended.err.count("resumed with changes") == 1
    assert Path("out/log.txt").read_text().count("resumed with changes") == 1


OWN = """import own_rates
from torch import nn


class Own(nn.MSELoss):
    def forward(self, input, target):
        from own_later import RATE

        return RATE * super().forward(input, target)
"""


@pytest.fixture
def own(toy):
    """An experiment with a loss in a module beside it, which imports two others, one in its forward; a fourth is not imported."""
    (toy.parent / "own_loss.py").write_text(OWN)
    (toy.parent / "own_rates.py").write_text("RATE = 1\n")
    (toy.parent / "own_later.py").write_text("RATE = 2\n")
    (toy.parent / "own_unused.py").write_text("")
    toy.write_text(toy.read_text().replace("!import_call:distill_core.losses.KDLoss {}, inputs: {student: student, teacher: teacher}",
        "!import_call:own_loss.Own {}, inputs: {input: student, target: teacher}"))  # fmt: skip
    return toy


def test_modules_beside_the_file_are_kept_with_their_hashes(own, distill):
    ended = distill("run", own, "stages.0.epochs=1", "--output", "out", *TRUST, "--trust", ".")
    assert ended.code == 0, ended.err
    assert {path.name: path.read_text() for path in Path("out/code").iterdir()} == {
        "own_loss.py": OWN, "own_rates.py": "RATE = 1\n", "own_later.py": "RATE = 2\n",
    }  # fmt: skip
    recorded = json.loads(Path("out/environment.json").read_text())["modules"]
    assert recorded == {path.name: sha256(path.read_bytes()).hexdigest() for path in Path("out/code").iterdir()}
    (own.parent / "own_loss.py").unlink()  # the run is evaluated and repeated with its copies
    assert distill("evaluate", "out", *TRUST, "--trust", ".").code == 0
    again = distill(
        "run",
        "out/config.resolved.yaml",
        "--output",
        "again",
        *TRUST,
        *("--trust", "own_loss", "--trust", "own_rates", "--trust", "own_later"),
    )
    assert again.code == 0, again.err
    assert Path("again/metrics.jsonl").read_text().count("kd") == Path("out/metrics.jsonl").read_text().count("kd")
    assert json.loads(Path("again/environment.json").read_text())["modules"] == recorded


def test_a_removed_module_is_accepted_once(own, distill):
    text = own.read_text()
    own.write_text(text.replace("callbacks:\n", "callbacks:\n  - !import_call:toy.Interrupt {epoch: 2}\n"))
    assert distill("run", own, "--output", "out", *TRUST, "--trust", ".").code == 130
    own.write_text(text)
    (own.parent / "own_later.py").unlink()
    (own.parent / "own_loss.py").write_text(OWN.replace("own_later", "own_rates"))
    assert "code.own_later.py" in resume(distill, own, "--trust=.").err
    assert resume(distill, own, "--trust=.", "--change").code == 0
    assert {path.name for path in Path("out/code.2").iterdir()} == {"own_loss.py", "own_rates.py"}
    assert resume(distill, own, "--trust=.").code == 0
    assert not Path("out/code.3").exists()


def test_hidden_and_compiled_files_of_a_package_are_not_copied(own, distill):
    package = own.parent / "own_loss"
    (package / ".venv").mkdir(parents=True)
    (own.parent / "own_loss.py").rename(package / "__init__.py")
    for name in (".venv/installed.py", ".draft.py", "weights.bin"):
        (package / name).write_text("")
    assert distill("run", own, "stages.0.epochs=1", "--output", "out", *TRUST, "--trust", ".").code == 0
    copied = {path.name for path in Path("out/code").rglob("*") if path.is_file()}
    assert copied == {"__init__.py", "own_rates.py", "own_later.py"}


def test_a_changed_module_is_a_change_of_the_experiment(own, distill):
    text = own.read_text()
    own.write_text(text.replace("callbacks:\n", "callbacks:\n  - !import_call:toy.Interrupt {epoch: 2}\n"))
    assert distill("run", own, "--output", "out", *TRUST, "--trust", ".").code == 130
    own.write_text(text)
    first, second = sha256(OWN.encode()).hexdigest(), sha256((OWN + "#").encode()).hexdigest()
    (own.parent / "own_loss.py").write_text(OWN + "#")
    refused = resume(distill, own, "--trust=.")
    assert refused.code == 2
    assert f"code.own_loss.py was {first} and is {second}" in refused.err
    assert "restore the modules from out, or accept the changes with `--resume --change`" in refused.err
    accepted = resume(distill, own, "--trust=.", "--change")
    assert accepted.code == 0, accepted.err
    assert f"code.own_loss.py: {first} → {second}" in accepted.err
    assert (Path("out/code/own_loss.py").read_text(), Path("out/code.2/own_loss.py").read_text()) == (OWN, OWN + "#")
    assert resume(distill, own, "--trust=.").code == 0
