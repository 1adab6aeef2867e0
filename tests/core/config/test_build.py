from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from distill_core.config import Builder
from distill_core.errors import ConfigError
from distill_core.experiment import INHERIT, Evaluation, Experiment, Stage, Term

WHOLE = """
models:
  student: &student !import_call:torch.nn.Linear {in_features: 4, out_features: 2}
data: {train: [1], test: &test [2]}
stages:
  - epochs: 3
    optimizer: !import_partial:torch.optim.SGD {lr: 1e-1}
    losses:
      ce: &ce {weight: 1, loss: !import_call:torch.nn.CrossEntropyLoss {}, inputs: {input: student, target: batch.target}}
  - losses: {again: *ce}
    scheduler: null
    train: ['student.*', losses]
callbacks:
  - !import_call:distill_core.train.Evaluate
    loader: *test
    metrics: &metrics {l1: {metric: !import_call:torch.nn.L1Loss {}, inputs: {input: student, target: batch.target}}}
test: {loader: *test, metrics: *metrics}
"""


def decoded(document, text=WHOLE):
    loaded = document(text)
    return Builder(loaded).decode(loaded.root, Experiment)


def test_a_whole_experiment(document):
    loaded = decoded(document)
    first, second = loaded.stages
    assert (first.epochs, first.scheduler, first.clip_grad_norm) == (3, INHERIT, INHERIT)
    assert (second.epochs, second.scheduler, second.train) == (INHERIT, None, ["student.*", "losses"])
    assert first.optimizer.keywords == {"lr": 0.1}
    assert isinstance(first.losses["ce"], Term)
    assert first.losses["ce"].weight == 1.0
    assert type(first.losses["ce"].weight) is float
    assert isinstance(loaded.test, Evaluation)
    assert loaded.precision == "fp32"


def test_an_anchor_is_one_object_everywhere(document):
    loaded = decoded(document)
    assert loaded.stages[0].losses["ce"].loss is loaded.stages[1].losses["again"].loss
    assert loaded.callbacks[0].evaluation.loader is loaded.test.loader is loaded.data["test"]
    assert loaded.callbacks[0].evaluation.metrics["l1"].metric is loaded.test.metrics["l1"].metric


def test_what_looks_the_same_is_not_the_same_object(build):
    loaded = build("a: !import_call:torch.nn.ReLU {}\nb: !import_call:torch.nn.ReLU {}\nc: &c [1]\nd: *c\n")
    assert loaded["a"] is not loaded["b"]
    assert loaded["c"] is loaded["d"]


def test_a_merged_mapping_shares_its_values(build):
    loaded = build("a: &a {m: !import_call:torch.nn.ReLU {}, n: 1}\nb: {<<: *a, n: 2}\n")
    assert loaded["b"]["m"] is loaded["a"]["m"]
    assert (loaded["a"]["n"], loaded["b"]["n"]) == (1, 2)


def test_a_record_of_an_argument_is_decoded(document):
    metric = decoded(document).callbacks[0].evaluation.metrics["l1"]
    assert type(metric).__name__ == "Metric"
    assert metric.inputs == {"input": "student", "target": "batch.target"}


def test_scratch_keys_are_not_built(build):
    assert build("_x: !import_call:torch.nn.Linear {}\ny: 1\nz: {_a: 1, b: 2}\n") == {"y": 1, "z": {"b": 2}}


def test_objects_are_made_in_the_order_of_the_file(build, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("code")
    (folder / "ordered_package.py").write_text("calls = []\ndef note(x):\n    calls.append(x)\n    return x\n")
    monkeypatch.syspath_prepend(folder)
    text = "".join(f"{key}: !import_call:ordered_package.note [{key}]\n" for key in "zyxabc")
    build(text, trust=("ordered_package",))
    assert "".join(sys.modules.pop("ordered_package").calls) == "zyxabc"


def test_a_constructor_that_raises_keeps_its_error_and_tells_the_place(build):
    with pytest.raises(RuntimeError, match="negative dimension") as raised:
        build("a: 1\nb:\n  c: !import_call:torch.nn.Linear [2, -3]\n")
    assert raised.value.__notes__ == ["while building torch.nn.Linear at run.yaml:3:6"]


def test_the_signature_is_checked_before_anything_is_built(build, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("code")
    (folder / "eager_package.py").write_text("def boom():\n    raise SystemExit\ndef f(a):\n    return a\n")
    monkeypatch.syspath_prepend(folder)
    with pytest.raises(ConfigError) as raised:
        build("x: !import_call:eager_package.f {b: !import_call:eager_package.boom {}}\n", trust=("eager_package",))
    sys.modules.pop("eager_package")
    assert [problem.id for problem in raised.value.problems] == ["unknown-argument", "missing-argument"]


def test_trust_opens_a_package_and_its_short_names(document, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("code")
    (folder / "registering_package.py").write_text(
        "from distill_core.registry import register\n@register\nclass MyOwnLoss:\n    pass\n"
    )
    monkeypatch.syspath_prepend(folder)
    loaded = document("models: {a: !import_call:MyOwnLoss {}}\ndata: {}\nstages: []\nimports: [registering_package]\n")
    built = Builder(loaded, ("registering_package",)).decode(loaded.root, Experiment)
    assert type(built.models["a"]) is sys.modules.pop("registering_package").MyOwnLoss


def test_decoding_refuses_before_it_builds(document):
    loaded = document("x: !import_call:torch.nn.Linear [2, -3]\nepochs: two\n")
    with pytest.raises(ConfigError) as raised:
        Builder(loaded).decode(loaded.root, Stage)
    assert [problem.id for problem in raised.value.problems] == ["unknown-key", "wrong-type"]


def test_a_built_value_of_the_wrong_type(document):
    loaded = document("epochs: !join [a, b]\n")
    with pytest.raises(ConfigError) as raised:
        Builder(loaded).decode(loaded.root, Stage)
    assert str(raised.value) == (
        "run.yaml:1:9: 'epochs' takes an integer or null, not the string 'ab' (at epochs)\n"
        "    epochs: !join [a, b]\n            ^"
    )


def test_what_cannot_be_called(build):
    with pytest.raises(ConfigError) as raised:
        build("x: !import_call:torch.float32 {}\n")
    assert [(problem.id, problem.key, str(problem.location)) for problem in raised.value.problems] == [
        ("not-callable", "x", "run.yaml:1:4")
    ]


def test_a_name_that_is_missing_only_when_built(build):
    with pytest.raises(ConfigError) as raised:
        build("x: !getattr:in_feature [!import_call:torch.nn.Linear [1, 1]]\n")
    problem = raised.value.problems[0]
    assert (problem.id, problem.key, str(problem.location)) == ("attribute-missing", "x", "run.yaml:1:4")
    assert problem.hint == "did you mean 'in_features'?"


def test_the_values_of_yaml(build):
    loaded = build("a: [1e-4, no, on, 1:30, 0o17, 0x1F, ~, True, .5, -.inf, 1_0, 010, '1', !!float 1, !!str 2]\nb:\n")
    assert loaded == {
        "a": [1e-4, "no", "on", "1:30", 15, 31, None, True, 0.5, float("-inf"), "1_0", 10, "1", 1.0, "2"],
        "b": None,
    }
    assert type(loaded["a"][13]) is float


def test_builds_on_the_meta_device(document):
    loaded = document("x: !import_call:torch.nn.Linear [4, 2]\n")
    with torch.device("meta"):
        assert Builder(loaded).build(loaded.root)["x"].weight.is_meta


def test_nothing_is_left_in_the_folder(build):
    build("x: !import_call:torch.nn.ReLU {}\n")
    assert [path.name for path in Path().iterdir()] == ["run.yaml"]
