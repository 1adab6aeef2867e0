from __future__ import annotations

import pickle  # noqa: TID251 — processes exchange errors pickled

import pytest

from distill_core.errors import (
    ConfigError,
    DataError,
    DistillError,
    Location,
    PeerError,
    Problem,
    TrainingError,
    TrustError,
    WiringError,
    did_you_mean,
    nearest,
)
from distill_core.registry import RegistryError


def test_problem_shows_location_line_caret_key_and_hint():
    problem = Problem(
        "no such key", Location("run.yaml", 3, 5), "    optimiser: x", "stages.0.optimiser", "did you mean 'optimizer'?"
    )
    assert str(problem) == (
        "run.yaml:3:5: no such key (at stages.0.optimiser)\n"
        "        optimiser: x\n"
        "        ^\n"
        "  hint: did you mean 'optimizer'?"
    )
    assert str(Problem("no such key")) == "no such key"


def test_an_error_lists_all_its_problems_and_knows_its_exit_code():
    error = ConfigError([Problem("one"), Problem("two")])
    assert str(error) == "one\ntwo"
    assert (DistillError.exit_code, WiringError.exit_code, ConfigError.exit_code, TrustError.exit_code) == (1, 2, 2, 3)


def test_nearest_names():
    assert nearest("lerning_rate", ["learning_rate", "momentum"]) == "learning_rate"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", ["b", "a"]) == "choose from 'a', 'b'"


@pytest.mark.parametrize("kind", [DistillError, WiringError, DataError, TrainingError, PeerError])
def test_an_error_is_a_record_that_is_formatted_like_a_problem(kind):
    record = {"key": "stages.0.feed", "hint": "rename it", "location": Location("run.yaml", 3, 5)}
    error = kind("no such model", **record)
    assert {name: getattr(error, name) for name in record} == record
    assert error.message == "no such model"
    assert str(error) == "run.yaml:3:5: no such model (at stages.0.feed)\n  hint: rename it" == str(*error.problems)
    assert str(kind("no such model", key="stages.0.feed")) == "stages.0.feed: no such model"
    assert (str(kind("plain")), kind("plain").key, kind("plain").hint, kind("plain").location) == (
        "plain",
        "",
        "",
        None,
    )


@pytest.mark.parametrize(
    "error",
    [
        DataError("no such split", key="data.train", hint="choose another", location=Location("run.yaml", 3, 5)),
        RegistryError("no such name", hint="choose another"),
        TrustError([Problem("no such key", Location("run.yaml", 3, 5), id="unknown-key"), Problem("another")]),
    ],
)
def test_an_error_is_the_same_in_another_process(error):
    error.add_note("while reading")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.problems, str(again), again.__notes__) == (error.problems, str(error), ["while reading"])
