from __future__ import annotations

from distill_core.errors import (
    ConfigError,
    DistillError,
    Location,
    Problem,
    TrustError,
    WiringError,
    did_you_mean,
    nearest,
)


def test_problem_shows_place_line_caret_key_and_hint():
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


def test_an_error_of_a_file_is_the_same_in_another_process():
    error = TrustError([Problem("no such key", Location("run.yaml", 3, 5)), Problem("another")])
    kind, arguments = error.__reduce__()
    again = kind(*arguments)
    assert type(again) is TrustError
    assert (again.problems, str(again)) == (error.problems, "run.yaml:3:5: no such key\nanother")
