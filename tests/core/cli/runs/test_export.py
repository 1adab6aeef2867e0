"""`distill export`: a file that torch alone loads, for batches of any size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ALONE = """
import sys, torch
model = torch.export.load(sys.argv[1]).module()
points = torch.arange(20.0).view(5, 4) / 10 - 1
assert not [name for name in sys.modules if name.startswith(("distill", "toy"))]
torch.save(model(points), sys.argv[2])
"""


@pytest.fixture
def finished(toy, distill):
    assert distill("run", toy, "--output", "out", "--trust", "toy").code == 0


@pytest.mark.usefixtures("finished")
def test_the_file_gives_what_the_student_gives_without_distill(distill, tmp_path):
    ended = distill("export", "out", "--trust", "toy")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[2:] == [
        "    import torch",
        "    model = torch.export.load('out/student.pt2').module()",
        "    out = model(points)    # points (batch, 4)",
    ]
    command = [sys.executable, "-c", ALONE, "out/student.pt2", "given.pt"]
    subprocess.run(command, check=True, env={"PATH": "", "OMP_NUM_THREADS": "1"})
    import toy

    student = toy.Net(load_file("out/student.safetensors")["head.weight"].shape[1])
    student.load_state_dict(load_file("out/student.safetensors"))
    points = torch.arange(20.0).view(5, 4) / 10 - 1
    torch.testing.assert_close(torch.load("given.pt", weights_only=True), student(points).detach())


@pytest.mark.usefixtures("finished")
def test_a_written_program_is_measured_and_recorded(distill):
    ended = distill("export", "out", "--measure", "--json", "--trust", "toy")
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert (record["file"], record["format"]) == ("out/student.pt2", "pt2")
    assert record["num_bytes"] == Path("out/student.pt2").stat().st_size
    assert all(Path(path).exists() for path in record["beside"])
    tested = json.loads(Path("out/results.json").read_text())["test"]
    model, file = record["measured"]
    assert (model["name"], file["name"]) == ("the model (torch)", "student.pt2")
    assert model["metrics"] == file["metrics"] == tested
    assert file["num_bytes"] == record["num_bytes"]
    assert file["seconds"] > 0
    ended = distill("export", "out", "--measure", "--trust", "toy")
    assert ended.out.splitlines()[-3].split() == ["bytes", "one", "sample", "test", "share"]
    refused = distill("export", "out", "--measure", "--format", "safetensors", "--trust", "toy")
    assert refused.err == "--measure requires --format pt2 or onnx, got safetensors\n  hint: omit --measure\n"


@pytest.mark.usefixtures("finished")
def test_mistakes_are_told(distill):
    ended = distill("export", "out", "--model", "studnt", "--trust", "toy")
    assert (ended.code != 0, ended.err.strip()) == (
        True,
        "the run has no model 'studnt'\n  hint: did you mean 'student'?",
    )
    assert distill("export", "nowhere").err.startswith(
        "nowhere is not the folder of a run: it has no config.resolved.yaml"
    )
    assert not Path("out/student.pt2").exists()


@pytest.mark.usefixtures("finished")
def test_what_a_user_needs_travels_with_the_file(distill):
    for format_ in ("pt2", "safetensors"):
        ended = distill("export", "out", "--format", format_, "--output", f"made/{format_}", "--trust", "toy")
        assert ended.code == 0, ended.err
        names = sorted(path.name for path in Path("made", format_).iterdir())
        assert names == sorted(["README.md", "student.json", f"student.{format_}"])
    record = json.loads(Path("made/pt2/student.json").read_text())
    assert record["inputs"] == {"points": {"shape": ["batch", 4], "dtype": "float32"}}
    card = Path("made/pt2/README.md").read_text()
    results = json.loads(Path("out/results.json").read_text())
    assert f"| {next(iter(results['test']))} | {next(iter(results['test'].values())):g} |" in card
    assert Path("out/config.source.yaml").read_text().rstrip() in card
    assert "- teacher: " in card
    weights, trained = load_file("made/safetensors/student.safetensors"), load_file("out/student.safetensors")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in trained.items())


@pytest.mark.usefixtures("finished")
def test_the_weights_of_the_run_stay_as_they_are(distill):
    before = Path("out/student.safetensors").stat()  # of which reading changes the time of access
    assert distill("export", "out", "--format", "safetensors", "--trust", "toy").code == 0
    after = Path("out/student.safetensors").stat()
    assert (after.st_mtime_ns, after.st_ino, after.st_size) == (before.st_mtime_ns, before.st_ino, before.st_size)
    assert load_file("out/student_exported.safetensors").keys() == load_file("out/student.safetensors").keys()


@pytest.mark.usefixtures("finished")
def test_a_file_of_another_format_is_refused(distill):
    ended = distill("export", "out", "--format", "onnx", "--output", "student.pt2", "--trust", "toy")
    assert (ended.code, ended.err) == (
        2,
        "student.pt2 is not a file of the format onnx\n  hint: use the extension .onnx, or name a folder\n",
    )


def test_int8_needs_onnx(tmp_path, monkeypatch, distill):
    monkeypatch.chdir(tmp_path)
    assert distill("export", "out", "--int8") == (2, "", "--int8 requires --format onnx\n  hint: add --format onnx\n")


def test_the_average_of_a_model_is_exported_by_its_name(toy, distill):
    toy.write_text(toy.read_text() + "ema: {student: 0.9}\n")
    ended = distill("run", toy, "stages.0.epochs=1", "--output", "out", "--trust", "toy")
    assert ended.code == 0, ended.err
    ended = distill("export", "out", "--model", "student_ema", "--format", "safetensors", "--trust", "toy")
    assert ended.code == 0, ended.err
    own, average = (load_file(f"out/{name}.safetensors") for name in ("student", "student_ema"))
    weights = load_file("out/student_ema_exported.safetensors")
    assert weights.keys() == average.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in average.items())
    assert not torch.equal(own["head.weight"], average["head.weight"])
    assert "student_ema: " in Path("out/student_ema_exported.md").read_text()
    ended = distill("export", "out", "--model", "studnt_ema", "--trust", "toy")
    assert ended.err == "the run has no model 'studnt_ema'\n  hint: did you mean 'student_ema'?\n"
