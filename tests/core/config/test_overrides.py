from __future__ import annotations

from dataclasses import replace

import pytest

from distill_core.errors import ConfigError

TEXT = """
seed: 1
stages:
  - epochs: 3
    scheduler: x
    groups: {student.fc: {lr: 0.1}}
  - epochs: 4
callbacks: [a]
val: &val {n: 1}
use: {loader: *val}
empty: !import_call:torch.nn.ReLU
"""


def changed(build, *overrides):
    built = build(TEXT.replace("empty: !import_call:torch.nn.ReLU", "empty: 0"), *overrides)
    plain = build(TEXT.replace("empty: !import_call:torch.nn.ReLU", "empty: 0"))
    return {key: value for key, value in built.items() if value != plain.get(key, "absent")} | {
        key: "gone" for key in plain if key not in built
    }


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("seed=2", {"seed": 2}),
        ("seed=1e-2", {"seed": 0.01}),
        ("seed=", {"seed": None}),
        ("seed=no", {"seed": "no"}),
        ("seed=[1, {a: 2}]", {"seed": [1, {"a": 2}]}),
        ("seed=!join [a, b]", {"seed": "ab"}),
        ("+about=x y", {"about": "x y"}),
        ("~seed", {"seed": "gone"}),
        ("callbacks.0=b", {"callbacks": ["b"]}),
        ("callbacks.-1=b", {"callbacks": ["b"]}),
        ("+callbacks=b", {"callbacks": ["a", "b"]}),
        ("~callbacks.0", {"callbacks": []}),
        ("val.n=2", {"val": {"n": 2}, "use": {"loader": {"n": 2}}}),
        ("val={n: 3}", {"val": {"n": 3}, "use": {"loader": {"n": 3}}}),
        ("use.loader={n: 3}", {"use": {"loader": {"n": 3}}}),
        ("+val.m=2", {"val": {"n": 1, "m": 2}, "use": {"loader": {"n": 1, "m": 2}}}),
    ],
)
def test_change(build, override, difference):
    assert changed(build, override) == difference


def test_stages_and_quoted_names(build):
    built = build(
        TEXT, "stages.0.epochs=9", "~stages.0.scheduler", 'stages.0.groups."student.fc".lr=2', "stages.-1.epochs=8"
    )
    assert built["stages"] == [{"epochs": 9, "groups": {"student.fc": {"lr": 2}}}, {"epochs": 8}]


def test_an_argument_is_added_to_a_call_without_any(build):
    assert build(TEXT, "+empty.inplace=true")["empty"].inplace is True


def test_later_overrides_see_earlier_ones(build):
    assert build("a: 1\n", "+b={c: 1}", "b.c=2", "~a") == {"b": {"c": 2}}


def test_an_override_replaces_the_arguments_of_a_tag(build):
    built = build("m: !import_call:torch.nn.Linear {in_features: 1, out_features: 2}\n", "m.out_features=5")
    assert built["m"].out_features == 5


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "sede=2",
            "command line:1:1: override-unknown-key\n    sede=2\n    ^\n  hint: did you mean 'seed'?; write '+sede=2' to add it",
        ),
        (
            "stages.0.epoch=2",
            "command line:1:10: override-unknown-key\n    stages.0.epoch=2\n             ^\n"
            "  hint: did you mean 'epochs'?; write '+stages.0.epoch=2' to add it",
        ),
        (
            "stages.2.epochs=2",
            "command line:1:8: override-index-out-of-range\n    stages.2.epochs=2\n           ^\n  hint: count from 0",
        ),
        (
            "stages.first=2",
            "command line:1:8: override-not-an-index\n    stages.first=2\n           ^\n  hint: count from 0",
        ),
        (
            "seed.x=2",
            "command line:1:6: override-below-scalar\n    seed.x=2\n         ^",
        ),
        (
            "+seed=2",
            "command line:1:1: override-key-exists\n    +seed=2\n    ^\n  hint: write 'seed=2' to replace it",
        ),
        (
            "~sede",
            "command line:1:2: override-unknown-key\n    ~sede\n     ^\n  hint: did you mean 'seed'?",
        ),
        ("~seed=1", "command line:1:6: override-removes-value\n    ~seed=1\n         ^"),
        (
            "seed",
            "command line:1:5: override-equals-missing\n    seed\n        ^\n  hint: write key=value, +key=value or ~key",
        ),
        (
            "=1",
            "command line:1:1: override-key-missing\n    =1\n    ^\n  hint: write key=value, +key=value or ~key",
        ),
        (
            "a.=1",
            "command line:1:3: override-key-missing\n    a.=1\n      ^\n  hint: write key=value, +key=value or ~key",
        ),
        (
            "seed=[1",
            "command line:1:8: syntax\n    seed=[1\n           ^\n  hint: it begins at command line:1:6",
        ),
    ],
)
def test_an_override_that_is_refused(document, override, expected):
    with pytest.raises(ConfigError) as raised:
        document(TEXT, override)
    problems = [replace(problem, message=problem.id) for problem in raised.value.problems]
    assert "\n".join(map(str, problems)) == expected


def test_all_refused_overrides_are_reported(document):
    with pytest.raises(ConfigError) as raised:
        document(TEXT, "sede=1", "seed=2", "stages.9.epochs=1")
    assert len(raised.value.problems) == 2


def test_a_problem_of_a_value_is_located_on_the_command_line(problems):
    text = "models: {}\ndata: {}\nstages: [{epochs: 1}]\n"
    assert [str(problem) for problem in problems(text, "stages.0.epochs=two")] == [
        "command line:1:17: 'epochs' takes an integer or null, not the string 'two' (at stages.0.epochs)\n"
        "    stages.0.epochs=two\n                    ^"
    ]


def test_an_added_key_is_located_on_the_command_line(problems):
    text = "models: {}\ndata: {}\nstages: [{epochs: 1}]\n"
    assert [str(problem) for problem in problems(text, "+stages.0.clip_grad=1")] == [
        "command line:1:11: a stage has no key 'clip_grad' (at stages.0.clip_grad)\n"
        "    +stages.0.clip_grad=1\n              ^\n  hint: did you mean 'clip_grad_norm'?"
    ]
