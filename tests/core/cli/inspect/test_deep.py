"""`distill check` and `distill check --deep`: every problem at its place, no data, the plan."""

from __future__ import annotations

import json

import pytest

PLAN = """\
small/toy.yaml: no problems (2 models, 3 datasets, 1 stage, 2 callbacks)

models
  teacher  Net, 386 parameters
  student  Net, 50 parameters

stage 1/1: 3 epochs, SGD(lr=0.1)
  losses  0.1 ·  ce    CrossEntropyLoss  input = student, target = batch.target
          0.9 ·  hint  MSELoss           input = student.body.2, target = teacher.body.0
  taps    teacher.body.0  (16, 4)  float32
          student         (16, 2)  float32
          student.body.2  (16, 4)  float32
          batch.target    (16,)    int64
  trains  teacher  0 of 386 parameters
          student  50 of 50 parameters
  runs    teacher  frozen, in eval mode, up to 'body.0' (module 2 of 6), 512 of 1,280 FLOPs per batch (60% saved)
          student  with gradients

metrics
  val   share  Share  preds = student, target = batch.target
  test  share  Share  preds = student, target = batch.target
"""


@pytest.fixture
def hinted(toy):
    """The experiment with a loss between layers and with data that cannot be read."""
    text = toy.read_text().replace("toy.points {split: train}", "toy.absent {batch_size: 16}")
    text = text.replace("toy.points {split: val}", "toy.absent {batch_size: 16}")
    text = text.replace("toy.points {split: test}", "toy.absent {batch_size: 16}")
    text = text.replace(
        "      kd: {weight: 0.9, loss: !import_call:distill_core.losses.KDLoss {}, inputs: {student: student, teacher: teacher}}",
        "      hint: {weight: 0.9, loss: !import_call:torch.nn.MSELoss {}, inputs: {input: student.body.2, target: teacher.body.0}}",
    )
    toy.write_text(text)
    return toy


def test_a_static_check_counts_what_it_saw(toy, distill):
    assert distill("check", toy, "--trust", "toy") == (
        0,
        "small/toy.yaml: no problems (2 models, 3 datasets, 1 stage, 2 callbacks)\n",
        "",
    )


def test_a_static_check_tells_all_problems_and_that_trust_is_missing(toy, distill):
    toy.write_text(toy.read_text().replace("epochs: 3", "epoch: 3"))
    ended = distill("check", toy)
    assert ended.code == 3
    assert "did you mean 'epochs'?" in ended.err
    assert ended.err.count("--trust toy") >= 2


def test_a_static_check_with_a_mistake_is_bad_input(toy, distill):
    toy.write_text(toy.read_text().replace("{lr: 0.1}", "{lrr: 0.1}"))
    ended = distill("check", toy, "--trust", "toy")
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("small/toy.yaml:17:49: ")
    assert ended.err.endswith("hint: did you mean 'lr'?\n")


def test_the_plan_without_reading_data(hinted, distill):
    ended = distill("check", hinted, "models.teacher.width=4", "--deep", "--trust", "toy")
    assert ended.err == ""
    assert ended.out == PLAN.replace("386", "50")


def test_a_loss_with_a_separate_gradient_and_what_it_needs(hinted, distill):
    hinted.write_text(hinted.read_text().replace("hint: {weight: 0.9,", "hint: {weight: 0.9, separate_gradient: true,"))
    ended = distill("check", hinted, "models.teacher.width=4", "--deep", "--trust", "toy")
    assert ended.code == 2
    assert ended.err.startswith(
        "small/toy.yaml:20:13: its gradient is separate, but SGD takes a single gradient (at stages.0.losses.hint)\n"
    )
    ended = distill("check", hinted, "models.teacher.width=4", "+precision=fp16", "--deep", "--trust", "toy")
    assert ended.code == 2
    assert ended.err.startswith("small/toy.yaml:20:13: `separate_gradient: true` keeps two gradients, which fp16 ")
    hinted.write_text(hinted.read_text().replace("torch.optim.SGD {lr: 0.1}", "distill_core.optim.DOT {lr: 0.1}"))
    ended = distill("check", hinted, "models.teacher.width=4", "--deep", "--trust", "toy")
    assert ended.code == 0, ended.err
    assert "0.9 ·  hint  MSELoss (separate gradient)  input = student.body.2" in ended.out


def test_shapes_that_do_not_fit_stand_at_the_wiring(hinted, distill):
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert ended.code == 2, ended
    first, line, caret, *rest = ended.err.splitlines()
    assert first.startswith("small/toy.yaml:20:75: losses.hint (MSELoss) fails with input (16, 4), target (16, 16): ")
    assert first.endswith(" (at stages.0.losses.hint.inputs)")
    assert line.index("{input") == caret.index("^")
    assert rest == []


def test_every_tap_that_names_no_module_is_told(hinted, distill):
    text = hinted.read_text().replace("student.body.2", "student.bode.2").replace("teacher.body.0", "teacher.body.9")
    hinted.write_text(text.replace("preds: student", "preds: student.haed"))
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert ended.code == 2, ended
    problems = [line for line in ended.err.splitlines() if line.startswith(("small", "  hint"))]
    assert problems == [
        "small/toy.yaml:20:83: student (Net) has no module 'bode.2' (at stages.0.losses.hint.inputs.input)",
        "  hint: did you mean 'body.2'?",
        "small/toy.yaml:20:107: teacher (Net) has no module 'body.9' (at stages.0.losses.hint.inputs.target)",
        "  hint: 'body' (Sequential) has 4 modules",
        "small/toy.yaml:26:66: student (Net) has no module 'haed' (at callbacks.0.metrics.share.inputs.preds)",
        "  hint: did you mean 'head'?",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    losses:",
            "    train: [student.haed]\n    losses:",
            "small/toy.yaml:18:12: the glob 'student.haed' matches no parameter (at stages.0.train)",
        ),
        (
            "{preds: student, target: batch.target}",
            "{preds: student, target: batch.label}",
            "small/toy.yaml:26:58: 'batch.label': the batch has no field 'label', it has 'input', 'target', 'index' (at callbacks.0.metrics.share.inputs)",
        ),
        (
            "!import_call:torch.nn.MSELoss {}",
            "!import_call:torch.nn.MSELoss {reduction: none}",
            "small/toy.yaml:20:90: losses.hint: MSELoss gave a tensor of shape (16, 4), and a loss is one number (a 0-dim tensor)"
            " (at stages.0.losses.hint.inputs)",
        ),
        (
            "toy.Net {width: 4}",
            "toy.Net {width: 3}",
            "small/toy.yaml:20:75: losses.hint (MSELoss) fails with input (16, 3), target (16, 4)",
        ),
    ],
)
def test_what_only_a_deep_check_finds(hinted, distill, old, new, message):
    assert distill("check", hinted, "models.teacher.width=4", "--trust", "toy").code == 0
    hinted.write_text(hinted.read_text().replace(old, new))
    ended = distill("check", hinted, "models.teacher.width=4", "--deep", "--trust", "toy")
    assert ended.code == 2, ended
    assert ended.err.startswith(message), ended.err


def test_a_loader_without_an_example_is_read(toy, distill):
    ended = distill("check", toy, "--deep", "--trust", "toy")
    assert (ended.err, ended.code) == ("", 0)
    assert "teacher       (16, 2)  float32" in ended.out


def test_a_model_that_looks_into_its_input_goes_by_shapes_as_if_compiled(hinted, distill):
    hinted.write_text(hinted.read_text().replace("toy.Net {width: 16}", "toy.Looking {width: 4}"))
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert (ended.code, " note " in ended.out) == (0, False), ended
    assert "teacher.body.0  (16, 4)  float32" in ended.out
    assert "teacher  frozen, in eval mode, up to 'body.0' (module 2 of 6), 512 of 1,280 FLOPs" in ended.out


def with_head(text: str, head: str) -> str:
    """A model that is fed by the teacher, and takes its shapes from what comes."""
    text = text.replace("toy.Net {width: 16}", f"toy.Looking {{width: 4}}\n  head: !import_call:torch.nn.{head}")
    text = text.replace("    losses:", "    feed: {head: {input: teacher.body.0}}\n    losses:")
    return text.replace("{input: student.body.2, target: teacher.body.0}", "{input: head, target: student}")


def test_lazy_parameters_take_their_shapes_from_a_model_that_looks_into_its_input(hinted, distill):
    hinted.write_text(with_head(hinted.read_text(), "LazyLinear {out_features: 2}"))
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert (ended.err, ended.code) == ("", 0)
    assert "  trains  teacher  0 of 50 parameters\n          head     10 of 10 parameters\n" in ended.out


def test_a_first_batch_that_fails_is_told(hinted, distill):
    hinted.write_text(with_head(hinted.read_text(), "LazyConv2d {out_channels: 2, kernel_size: 1}"))
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert ended.code == 2
    told = "initialising lazy parameters with a first batch failed: RuntimeError: "
    assert ended.err.startswith(f"small/toy.yaml:17:5: {told}"), ended.err
    assert ended.err.splitlines()[0].endswith("(at stages.0)")


def test_a_loss_that_needs_numbers_is_noted_as_unchecked(hinted, distill):
    hinted.write_text(hinted.read_text().replace("!import_call:torch.nn.MSELoss {}", "!import_get:toy.number"))
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert (ended.err, ended.code) == ("", 0)
    assert "  note    losses.hint (function): cannot run without data: shapes were not checked\n" in ended.out


def test_a_stage_that_inherits_its_losses_is_told_of_where_they_stand(hinted, distill):
    hinted.write_text(
        hinted.read_text().replace(
            "\ncallbacks:", "  - {epochs: 1, data: !import_call:toy.absent {batch_size: 8}}\n\ncallbacks:"
        )
    )
    ended = distill("check", hinted, "models.teacher.width=4", "--deep", "--trust", "toy")
    assert (ended.err, ended.code) == ("", 0)
    assert "stage 2/2: 1 epoch, SGD(lr=0.1)" in ended.out
    assert "student         (8, 2)  float32" in ended.out
    ended = distill("check", hinted, "--deep", "--trust", "toy")
    assert ended.err.count("small/toy.yaml:20:75: losses.hint (MSELoss) fails with") == 2


def test_the_plan_and_the_problems_are_json_too(hinted, distill):
    ended = distill("check", hinted, "models.teacher.width=4", "--deep", "--json", "--trust", "toy")
    found = json.loads(ended.out)
    assert (ended.code, found["problems"]) == (0, [])
    assert [term["name"] for term in found["plan"]["stages"][0]["terms"]] == ["ce", "hint"]
    wrong = distill("check", hinted, "sede=1", "--json", "--trust", "toy")
    (problem,) = json.loads(wrong.out)["problems"]
    assert (wrong.code, problem["id"], problem["location"]["column"]) == (2, "override-unknown-key", 1)
