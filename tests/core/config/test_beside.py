"""Modules beside a file: named once trusted, never before, and never instead of an installed package."""

from __future__ import annotations

import operator
import sys
from pathlib import Path

import pytest

from distill_core.config import Builder, check, read
from distill_core.errors import ConfigError, TrustError
from distill_core.experiment import Experiment

MODULE = """\
from torch import nn
open("{mark}", "w").close()

class Small(nn.Linear):
    def __init__(self, width: int = 3) -> None:
        super().__init__(width, 1)
"""


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A file in a folder that is not the current one, with a module, a package and decoys beside it; it gives the marks."""
    folder, marks = tmp_path / "experiment", tmp_path / "marks"
    (folder / "own_package").mkdir(parents=True)
    marks.mkdir()
    for name in ("own_losses.py", "own_package/__init__.py", "yaml.py", "torch.py", "own_other.py"):
        (folder / name).write_text(MODULE.format(mark=marks / Path(name).parts[0]))
    (folder / "run.yaml").write_text("models: {student: !import_call:own_losses.Small {width: 5}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield marks
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


def problems_of(*trust: str) -> list[str]:
    return [
        str(problem.hint or problem.message) for problem in check(read("experiment/run.yaml"), Experiment, {}, trust)
    ]


def built(*trust: str):
    document = read("experiment/run.yaml")
    return Builder(document, trust).build(document.root)["models"]["student"]


@pytest.mark.parametrize("trust", ["own_losses", "."])
def test_a_trusted_module_is_named(beside, trust):
    assert problems_of(trust) == []
    assert list(beside.iterdir()) == []  # a check imports nothing
    assert built(trust).in_features == 5
    assert [mark.name for mark in beside.iterdir()] == ["own_losses.py"]
    assert sys.modules["own_losses"].__file__ is not None


def test_an_untrusted_module_is_not_imported_and_the_hint_names_it(beside):
    assert problems_of() == [
        "add '--trust own_losses' if you trust own_losses.py beside the file, or '--trust .' for all modules there"
    ]
    with pytest.raises(TrustError):
        built()
    assert list(beside.iterdir()) == []


def test_the_hint_is_for_modules_that_exist_only(beside):
    Path("experiment/run.yaml").write_text("models: {student: !import_call:absent_module.Small {}}\n")
    assert problems_of() == ["add '--trust absent_module' if you trust its code"]


def test_packages_are_found_and_other_modules_stay_untrusted(beside):
    Path("experiment/run.yaml").write_text("models: {student: !import_call:own_package.Small {}}\n")
    assert built("own_package").in_features == 3
    Path("experiment/run.yaml").write_text("models: {student: !import_call:own_other.Small {}}\n")
    with pytest.raises(TrustError):
        built("own_package")


def test_a_module_does_not_replace_an_installed_one(beside):
    Path("experiment/run.yaml").write_text("models: {student: !import_call:torch.nn.Linear [2, 1]}\n")
    assert built(".").in_features == 2
    Path("experiment/run.yaml").write_text("models: {student: !import_call:yaml.load ['']}\n")
    with pytest.raises((TrustError, ConfigError)):
        built(".")
    assert list(beside.iterdir()) == []


def test_a_trusted_module_that_imports_an_untrusted_one_is_refused_with_a_hint(beside):
    Path("experiment/own_untrusted.py").write_text("")
    module = Path("experiment/own_losses.py")
    module.write_text("import own_untrusted\n" + module.read_text())
    with pytest.raises(
        TrustError, match="needs the module 'own_untrusted' beside the file, which is not trusted"
    ) as error:
        built("own_losses")
    assert "add '--trust own_untrusted' if you trust own_untrusted.py beside the file" in str(error.value)
    assert list(beside.iterdir()) == []
    assert built(".").in_features == 5


def test_a_file_of_another_folder_replaces_a_package_of_its_name(beside, tmp_path):
    Path("experiment/run.yaml").write_text("models: {student: !import_call:own_package.Small {}}\n")
    assert built("own_package").in_features == 3
    other = tmp_path / "other"
    other.mkdir()
    (other / "own_package.py").write_text(MODULE.format(mark=beside / "other").replace("= 3", "= 9"))
    (other / "run.yaml").write_text("models: {student: !import_call:own_package.Small {}}\n")
    document = read("other/run.yaml")
    assert Builder(document, ["own_package"]).build(document.root)["models"]["student"].in_features == 9


def test_the_last_folder_wins_in_one_process(beside, tmp_path):
    first = built("own_losses")
    other = tmp_path / "other"
    other.mkdir()
    (other / "own_losses.py").write_text(MODULE.format(mark=beside / "other").replace("= 3", "= 9"))
    (other / "run.yaml").write_text("models: {student: !import_call:own_losses.Small {}}\n")
    document = read("other/run.yaml")
    second = Builder(document, ["own_losses"]).build(document.root)["models"]["student"]
    assert (first.in_features, second.in_features) == (5, 9)


def test_the_module_is_found_in_processes_that_are_spawned(beside):
    import multiprocessing

    model = built("own_losses")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(operator.attrgetter("in_features"), (model,)).get(timeout=60) == 5
