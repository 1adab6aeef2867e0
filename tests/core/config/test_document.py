"""Bases, includes and the dump."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill_core.config import Builder, read
from distill_core.config._dump import dump


def test_a_file_is_merged_over_its_base(build):
    base = "a: 1\nb: {c: 1, d: {e: 1}}\nl: [1, 2]\n"
    assert build("base: base.yaml\nb: {c: 2, d: {f: 3}}\nl: [3]\n", files={"base.yaml": base}) == {
        "a": 1,
        "b": {"c": 2, "d": {"e": 1, "f": 3}},
        "l": [3],
    }


STAGES = "stages: [{epochs: 1, lr: !import_call:torch.nn.Linear {in_features: 1, out_features: 2}}, {epochs: 5}]\n"


@pytest.mark.parametrize(
    ("text", "epochs"),
    [
        ("stages.0.epochs: 2", [2, 5]),
        ("stages.-1.epochs: 2", [1, 2]),
        ("stages.1: {epochs: 3}\nstages.0: {epochs: 4}", [4, 3]),
        ("~stages.1: null", [1]),
        ("+stages.2: {epochs: 9}", None),
        ("a: 1\nstages: [{epochs: 7}]\nstages.0.epochs: 8", [8]),
    ],
)
def test_a_key_with_dots_changes_one_element_of_the_base(build, problems, text, epochs):
    files = {"base.yaml": STAGES}
    if epochs is None:
        (problem,) = problems(f"base: base.yaml\n{text}\n", files=files)
        assert problem.message == "'stages' has 2 elements: there is no element 2"
        return
    stages = build(f"base: base.yaml\n{text}\n", files=files)["stages"]
    assert [stage["epochs"] for stage in stages] == epochs
    if "lr" in stages[0]:
        assert stages[0]["lr"].out_features == 2


def test_arguments_of_a_call_are_changed_by_a_key_with_dots(build):
    stages = build("base: base.yaml\nstages.0.lr: {out_features: 7}\n+stages.1.lr: 3\n", files={"base.yaml": STAGES})
    assert stages["stages"][0]["lr"].out_features == 7
    assert stages["stages"][1]["lr"] == 3


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("stages.2.epochs: 1", "'stages' has 2 elements: there is no element 2", "count from 0"),
        (
            "stages.0.epoch: 1",
            "'stages.0' has no key 'epoch'",
            "did you mean 'epochs'?; write '+stages.0.epoch' to add it",
        ),
        ("stages.first: 1", "'stages' is a list: 'first' is not an index", "count from 0"),
        ("~stages.0: 1", "'~key' takes no value", ""),
    ],
)
def test_a_wrong_key_with_dots_is_located(problems, text, message, hint):
    (problem,) = problems(f"base: base.yaml\n{text}\n", files={"base.yaml": STAGES})
    assert (problem.message, problem.hint) == (message, hint)
    assert str(problem.location) == "run.yaml:2:1"


def test_later_bases_win_and_bases_have_bases(build):
    files = {"a.yaml": "x: a\ny: a\nz: a\n", "b.yaml": "base: c.yaml\ny: b\n", "c.yaml": "y: c\nz: c\nw: c\n"}
    assert build("base: [a.yaml, b.yaml]\nv: 1\n", files=files) == {"x": "a", "y": "b", "z": "c", "w": "c", "v": 1}


def test_paths_are_relative_to_the_file_that_names_them(document, tmp_path):
    (tmp_path / "parts").mkdir()
    files = {"parts/base.yaml": "a: !include inner.yaml\n", "parts/inner.yaml": "[1, 2]\n"}
    loaded = document("base: parts/base.yaml\n", files=files)
    assert Builder(loaded).build(loaded.root) == {"a": [1, 2]}
    assert sorted(loaded.sources) == ["parts/base.yaml", "parts/inner.yaml", "run.yaml"]


def test_a_mapping_without_a_tag_changes_the_arguments_below_it(build):
    base = "o: !import_call:torch.nn.Linear {in_features: 1, out_features: 2}\n"
    assert build("base: base.yaml\no: {out_features: 7}\n", files={"base.yaml": base})["o"].out_features == 7


def test_a_mapping_with_a_tag_replaces(build):
    base = "o: !import_call:torch.nn.Linear {in_features: 1, out_features: 2}\n"
    loaded = build("base: base.yaml\no: !import_call:torch.nn.ReLU {inplace: true}\n", files={"base.yaml": base})
    assert type(loaded["o"]).__name__ == "ReLU"


def test_replacing_a_node_at_its_anchor_replaces_it_everywhere(build):
    base = "val: &val [1]\nuse: {loader: *val}\n"
    assert build("base: base.yaml\nval: [2]\n", files={"base.yaml": base}) == {"val": [2], "use": {"loader": [2]}}
    assert build("base: base.yaml\nuse: {loader: [3]}\n", files={"base.yaml": base}) == {
        "val": [1],
        "use": {"loader": [3]},
    }


def test_an_anchor_over_a_base_stays_one_object(build):
    loaded = build("base: base.yaml\na: &a {y: 2}\nb: *a\n", files={"base.yaml": "a: {x: 1}\n"})
    assert loaded["a"] == {"x": 1, "y": 2}
    assert loaded["b"] is loaded["a"]


def test_an_include_is_the_root_of_its_file(build):
    files = {"part.yaml": "!import_call:torch.nn.Linear [1, 2]\n"}
    loaded = build("a: &a !include part.yaml\nb: *a\nc: !include part.yaml\nd: [!include part.yaml]\n", files=files)
    assert loaded["a"].out_features == 2
    assert loaded["b"] is loaded["a"]
    assert loaded["c"] is not loaded["a"]
    assert type(loaded["d"][0]).__name__ == "Linear"


def test_problems_are_located_in_their_own_file(problems):
    files = {"base.yaml": "models: {}\ndata: {}\nstages:\n  - epochs: two\n"}
    assert [str(problem.location) for problem in problems("base: base.yaml\nsede: 1\n", files=files)] == [
        "run.yaml:2:1",
        "base.yaml:4:13",
    ]


def test_an_override_reaches_into_bases_and_includes(build):
    files = {"base.yaml": "a: {b: 1}\n", "part.yaml": "{c: 1}\n"}
    assert build("base: base.yaml\nd: !include part.yaml\n", "a.b=2", "d.c=3", files=files) == {
        "a": {"b": 2},
        "d": {"c": 3},
    }


EXAMPLE = """\
models:
  student: &s !import_call:torch.nn.Linear {in_features: 1, out_features: 2}
  same: *s
about: &unused no
list: [1e-4, '1', "a\\nb", no, ~, !!str 3, !!float 1, 0o17]
block: |
  two
  lines
get: !import_get:torch.float32
join: !join [a, 1]
"""


def test_the_dump_keeps_tags_and_anchors(document):
    loaded = document(EXAMPLE)
    text = loaded.dump()
    assert "student: &s !import_call:torch.nn.Linear {in_features: 1, out_features: 2}" in text
    assert "same: *s" in text
    assert "about: &unused no" in text
    again = document(text)
    assert again.dump() == text
    first, second = Builder(loaded).build(loaded.root), Builder(again).build(again.root)
    assert second["models"]["student"] is second["models"]["same"]
    assert {**first, "models": 0} == {**second, "models": 0}


def test_anchors_of_the_same_name_in_two_files_are_distinct(document):
    loaded = document("a: &x [1]\nb: *x\nc: !include part.yaml\n", files={"part.yaml": "{d: &x [2], e: *x}\n"})
    again = document(loaded.dump())
    assert Builder(again).build(again.root) == {"a": [1], "b": [1], "c": {"d": [2], "e": [2]}}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])),
)
keys = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), min_size=1).filter(
    lambda key: key[0] != "_"
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=12)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.dictionaries(keys.filter(lambda key: key not in ("base", "<<")), values, min_size=1), flow=st.booleans()
)
def test_what_is_dumped_is_read_back(tmp_path, value, flow):
    path = tmp_path / "run.yaml"
    nodes = yaml.SafeDumper(io.StringIO(), default_flow_style=flow).represent_data(value)
    path.write_text(dump(nodes), encoding="utf-8", newline="")
    loaded = read(path)
    built = Builder(loaded).build(loaded.root)
    assert built == value
    path.write_text(loaded.dump(), encoding="utf-8", newline="")
    again = read(path)
    assert Builder(again).build(again.root) == built
    assert again.dump() == loaded.dump()


CHECK = """
import sys
from distill_core.config import check, read
from distill_core.experiment import Evaluation, Experiment, Metric, Stage, Term
schemas = {"Evaluation": Evaluation, "Metric": Metric, "Stage": Stage, "Term": Term}
problems = check(read("run.yaml"), Experiment, schemas)
assert not problems, problems
heavy = {"torch", "numpy", "accelerate", "distill_core.losses", "distill_core.train", "distill_vision"} & set(sys.modules)
print(sorted(heavy))
"""


@pytest.mark.usefixtures("_folder")
def test_a_check_imports_nothing_that_the_file_names():
    WHOLE = "models: {student: !import_call:torch.nn.Linear [2, 2]}\ndata: {}\nstages:\n- losses: {kd: {loss: !import_call:KDLoss {}, inputs: {student: student, teacher: student}}}\n  optimizer: !import_partial:torch.optim.SGD {lr: 0.1}\n"

    Path("run.yaml").write_text(WHOLE, encoding="utf-8")
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
