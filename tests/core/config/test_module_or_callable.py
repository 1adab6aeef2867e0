"""A name that is a submodule and also an object from `from .name import *`: resolved as in Python."""

from __future__ import annotations

import importlib
import pkgutil
import types
import warnings

import pytest

from distill_core.config import Builder
from distill_core.config._sources import find_definition

PACKAGES = [
    "torchvision.models",
    "torchvision.models.quantization",
    "torchvision.models.video",
    "torchvision.ops",
    "timm.models",
    "timm.layers",
    "torch.nn.modules",
    "torch.optim",
    "distill_core.losses",
    "distill_vision.models",
]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_sources_tell_what_python_gives(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip(name)
    names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name[0] != "_"]
    for submodule in names:
        given, found = getattr(package, submodule, None), find_definition(f"{name}.{submodule}")
        if given is None or found is None or not found.sure:
            continue
        assert isinstance(given, types.ModuleType) == (not found.name), submodule


@pytest.mark.parametrize("path", ["torchvision.models.alexnet", "torchvision.models.googlenet", "timm.models.xception"])
def test_a_model_of_the_name_of_its_file_can_be_named(problems, path):
    pytest.importorskip(path.partition(".")[0])
    text = f"models: {{student: !import_call:{path} {{}}}}\ndata: {{}}\nstages: []\n"
    assert problems(text) == []


@pytest.fixture
def both(tmp_path, monkeypatch):
    """Create a package in which `net` is a module and a function, and `plain` a module only."""
    folder = tmp_path / "of_both"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .net import *\nfrom .plain import *\n")
    (folder / "net.py").write_text(
        "__all__ = ['Net', 'net']\nclass Net:\n    pass\ndef net(width=1):\n    return width\n"
    )
    (folder / "plain.py").write_text("def other():\n    return 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "of_both"
    for name in ("of_both", "of_both.net", "of_both.plain"):
        importlib.sys.modules.pop(name, None)


def test_the_end_of_a_path_is_the_function_and_the_middle_the_module(document, problems, both):
    text = (
        "models: {}\ndata: {}\nstages: []\nx: !import_call:of_both.net {width: 3}\ny: !import_call:of_both.net.Net {}\n"
    )
    assert {problem.id for problem in problems(text, trust=(both,))} <= {"unknown-key"}
    loaded = document(text)
    built = Builder(loaded, (both,)).build(loaded.root)
    assert (built["x"], type(built["y"]).__name__) == (3, "Net")


def test_what_is_only_a_module_is_refused(problems, both):
    text = "models: {}\ndata: {}\nstages: []\nabout: !import_call:of_both.plain {}\n"
    assert [problem.id for problem in problems(text, trust=(both,))] == ["module-not-object"]
