"""Malformed files: the location, id, key and hint of each problem. `test_messages.py` has the sentences.

The tables are in `malformed/*.txt`:

=== name of the case
the file
=>
the problems, with the id in place of the sentence
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

TABLES = sorted((Path(__file__).parent / "malformed").glob("*.txt"))
BESIDE = {"part.yaml": "a: 1\n", "base.yaml": "seed: 1\n"}


def _cases():
    for table in TABLES:
        for case in re.split(r"^=== ", table.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = case.partition("\n")
            text, _, message = rest.partition("=>\n")
            yield pytest.param(text, message.strip(), id=f"{table.stem}-{name}")


def test_there_are_enough_cases():
    assert len(list(_cases())) >= 60


def _with_ids(problems):
    return "\n".join(str(replace(problem, message=problem.id)) for problem in problems)


@pytest.mark.parametrize(("text", "expected"), list(_cases()))
def test_problems(problems, text, expected):
    assert _with_ids(problems(text, files=BESIDE)) == expected


LONG = [
    pytest.param("about: \x07\n", "run.yaml:1:8: character-not-allowed", id="bell"),
    pytest.param(
        "models:\n\tstudent: 1\n",
        "run.yaml:2:1: syntax\n     student: 1\n    ^\n  hint: indent with spaces",
        id="tab",
    ),
    pytest.param(f"seed: {'1' * 5000}\n", "run.yaml:1:7: number-too-long (at seed)", id="digits"),
    pytest.param(f"a: {'[' * 150}{']' * 150}\n", "run.yaml:1:103: nested-too-deep", id="nested lists"),
    pytest.param(f"a: {'[' * 5000}", "run.yaml:1:103: nested-too-deep", id="never closed"),
    pytest.param(
        "a: &a0 []\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200)),
        "run.yaml:101:7: nested-too-deep (at a100)\n    a100: &a100 [*a99]\n          ^",
        id="nested aliases",
    ),
    pytest.param(
        "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40)),
        "run.yaml:15:6: too-many-nodes (at a14)\n"
        "    a14: &a14 [*a13, *a13]\n"
        "         ^\n"
        "  hint: use fewer aliases of aliases",
        id="bomb",
    ),
    pytest.param(f"# {'x' * 1_000_000}\n", "file-too-large", id="large"),
]


@pytest.mark.parametrize(("text", "expected"), LONG)
def test_limit(problems, text, expected):
    assert _with_ids(problems(text)) == expected


def test_a_missing_file(problems):
    from distill_core.config import read
    from distill_core.errors import ConfigError

    Path("run.yaml").write_text("seed: 1\n", encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        read("rum.yaml")
    assert _with_ids(raised.value.problems) == "file-missing\n  hint: did you mean 'run.yaml'?"


def test_a_file_that_is_not_utf8():
    from distill_core.config import read
    from distill_core.errors import ConfigError

    Path("run.yaml").write_bytes("about: größer\n".encode("latin-1"))
    with pytest.raises(ConfigError) as raised:
        read("run.yaml")
    assert _with_ids(raised.value.problems) == "not-utf-8\n  hint: save it as UTF-8"


def test_a_byte_order_mark_does_no_harm():
    from distill_core.config import read

    Path("run.yaml").write_bytes(b"\xef\xbb\xbfseed: 1\n")
    document = read("run.yaml")
    assert [key.value for key, _ in document.root.value] == ["seed"]
    assert str(document.location(document.root)) == "run.yaml:1:1"


def test_a_cycle_of_includes_is_reported_with_its_chain(problems):
    files = {"a.yaml": "x: !include b.yaml\n", "b.yaml": "y: !include a.yaml\n"}
    assert [str(problem) for problem in problems("models: !include a.yaml\n", files=files)] == [
        "b.yaml:1:4: 'a.yaml' includes itself: a.yaml → b.yaml → a.yaml\n    y: !include a.yaml\n       ^"
    ]


def test_includes_that_multiply_are_refused(problems):
    files = {f"f{i}.yaml": f"a: !include f{i + 1}.yaml\nb: !include f{i + 1}.yaml\n" for i in range(12)}
    found = problems("models: !include f0.yaml\n", files={**files, "f12.yaml": "1\n"})
    assert "too-many-files" in {problem.id for problem in found}


def test_includes_that_nest_are_refused(problems):
    deep = f"a: {'[' * 90}1{']' * 90}\n"
    found = problems(f"models: {'[' * 50}!include deep.yaml {']' * 50}\n", files={"deep.yaml": deep})
    assert [problem.id for problem in found] == ["includes-too-deep"]


def test_a_package_of_ours_that_is_not_installed(problems, monkeypatch):
    from distill_core.config import _modules, _sources

    text = "models: {teacher: !import_call:distill_zoo.load {name: x}}\ndata: {}\nstages: []\n"
    monkeypatch.setattr("sys.path", [])
    _modules.load_source.cache_clear()
    _sources.find_definition.cache_clear()
    found = _with_ids(problems(text))
    monkeypatch.undo()
    _modules.load_source.cache_clear()
    _sources.find_definition.cache_clear()
    assert found == (
        "run.yaml:1:19: package-missing (at models.teacher)\n"
        "    models: {teacher: !import_call:distill_zoo.load {name: x}}\n"
        "                      ^\n"
        "  hint: pip install distill-zoo"
    )
