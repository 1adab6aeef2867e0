"""`cache.teacher.build_model: false`: a run that reads a complete cache builds no teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TRUST = ("--trust", "toy")
CACHE = "+cache={teacher: {folder: values, views: 1}}"
NOT_BUILT = "+cache.teacher.build_model=false"
BROKEN = "models.teacher=!import_call:toy.broken {width: 16}"


@pytest.fixture
def filled(toy, distill):
    """The experiment with its student first, so that both runs draw the same initial weights, and its cache."""
    text = toy.read_text()
    teacher = "  teacher: !import_call:toy.Net {width: 16}\n"
    student = "  student: !import_call:toy.Net {width: 4}\n"
    toy.write_text(text.replace(teacher + student, student + teacher))
    assert distill("cache", "build", toy, CACHE, *TRUST).code == 0
    return toy


def test_a_teacher_that_cannot_be_built_is_not_needed(filled, distill):
    assert distill("run", filled, CACHE, "--output", "with", *TRUST).code == 0
    ended = distill("run", filled, CACHE, NOT_BUILT, BROKEN, "--output", "without", *TRUST)
    assert ended.code == 0, ended.err
    ours, theirs = (json.loads(Path(folder, "results.json").read_text()) for folder in ("without", "with"))
    assert ours["files"] == theirs["files"]
    assert ours["test"] == theirs["test"]
    assert distill("run", filled, CACHE, BROKEN, "--output", "broken", *TRUST).code != 0
    assert distill("evaluate", "without", *TRUST).code == 0


def test_check_says_so(filled, distill):
    out = distill("check", filled, CACHE, NOT_BUILT, *TRUST).out
    assert "\nteacher: not built; the run reads its values from cache.teacher, which must be complete\n" in out
    assert "not built" not in distill("check", filled, CACHE, *TRUST).out
    assert distill("check", filled, CACHE, NOT_BUILT, "--deep", *TRUST).code == 0


def test_without_a_cache_the_error_has_its_location(toy, distill):
    ended = distill("run", toy, CACHE, NOT_BUILT, "--output", "out", *TRUST)
    assert ended.code != 0
    assert "'teacher' is not built, and values holds no cache of it (at cache.teacher.folder)" in ended.err


def test_another_object_that_uses_the_teacher_is_refused(filled, distill):
    text = filled.read_text().replace("  teacher: !import", "  teacher: &teacher !import")
    filled.write_text(text.replace("data:\n", "  copy: *teacher\n\ndata:\n"))
    ended = distill("run", filled, CACHE, NOT_BUILT, "--output", "out", *TRUST)
    assert ended.code != 0
    assert "another object of this file uses 'teacher', which is not built (at models.teacher)" in ended.err
