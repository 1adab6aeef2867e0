"""`distill list`: every loss with its method, paper and year, and what other packages export, without torch."""

from __future__ import annotations

import importlib
import inspect
import json
from importlib.util import find_spec
from typing import TypeVar, get_type_hints

import pytest
from torch import nn

from distill_core import losses
from distill_core.cli.inspect._exports import PACKAGES, Parameter, exports
from distill_core.cli.inspect._list import export_tables, markdown, table
from distill_core.cli.inspect._methods import methods
from distill_core.registry import names

FILE = '''"""Averaging (AVG): the student is the mean.

Paper: On means
Authors: A. Mean
Venue: MEAN
Year: 2020
Link: https://example.org/1
"""

@final
@register
class AVGLoss(nn.Module):
    reduction_scope: ClassVar[str] = "gathered"

class Part(nn.Module):
    pass
'''


def test_every_registered_loss_is_listed_as_it_declares_itself():
    listed = {method.name: method for method in methods()}
    registered = {name for name in names() if hasattr(losses, name)}
    assert listed.keys() == registered
    assert len(listed) > 40
    assert {name: method.reduction_scope for name, method in listed.items()} == {
        name: getattr(losses, name).reduction_scope for name in listed
    }


def test_a_file_is_read_without_running_it(tmp_path):
    (tmp_path / "_avg.py").write_text(FILE)
    (found,) = methods(tmp_path)
    assert (found.name, found.path, found.reduction_scope) == ("AVGLoss", "distill_core.losses.AVGLoss", "gathered")
    assert (found.reference.method, found.reference.year) == ("Averaging (AVG)", "2020")
    assert markdown([found]).splitlines()[2] == (
        "| `AVGLoss` | Averaging (AVG) | [On means](https://example.org/1), MEAN 2020 | gathered |"
    )


def test_a_docstring_without_its_paper_is_refused(tmp_path):
    (tmp_path / "_avg.py").write_text(FILE.replace("Year: 2020\n", ""))
    with pytest.raises(ValueError, match=r"found Paper, Authors, Venue, Link$"):
        methods(tmp_path)


def test_the_table_for_people(distill):
    ended = distill("list", "losses")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].split() == ["loss", "year", "venue", "reduction", "scope", "method"]
    (rkd,) = [line for line in lines if line.startswith("RKDLoss ")]
    assert rkd.split(maxsplit=4) == ["RKDLoss", "2019", "CVPR", "gathered", "Relational knowledge distillation (RKD)"]
    assert lines[-1] == f"{len(lines) - 3} losses; import paths: distill_core.losses.ABKDLoss"


def test_the_list_for_programs(distill):
    records = json.loads(distill("list", "losses", "--json").out)
    (kd,) = [record for record in records if record["name"] == "KDLoss"]
    assert (kd["path"], kd["reduction_scope"], kd["year"]) == ("distill_core.losses.KDLoss", "sample", "2015")
    assert kd["link"].startswith("https://")


def test_nothing_else_is_listed(distill):
    ended = distill("list", "loss")
    assert ended.code == 2
    assert "'loss' is not one of 'losses', 'models', 'data', 'metrics'" in ended.err


def test_listing_imports_nothing_that_is_listed(python):
    done = python("""
import sys
from distill_core.cli import main
for what in "losses", "models", "data", "metrics":
    sys.argv = ["distill", "list", what]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
assert not {"torch", "torchvision", "transformers", "distill_vision", "distill_nlp"} & set(sys.modules)
""")
    assert "KDLoss" in done.stdout


SHOP = {
    "__init__": "",
    "models/__init__": """
from ._nets import Deep as Deep
from ._nets import Net as Net
from ._nets import Sent as Sent
from ._nets import both as both
from ._nets import changed as changed
from ._nets import count as count
from ._nets import net as net
from ._nets import quoted as quoted
""",
    "models/_nets": """
from typing import NamedTuple, TypeVar

import torch.nn as nn

from ._base import Base

Model = TypeVar("Model", bound=nn.Module)
Number = TypeVar("Number", bound=int)

class Net(Base[int]):
    '''A net.'''

class Deep(Net):
    def __init__(self, depth: int, *, width=8): ...

class Sent(NamedTuple):
    values: int

def net(size, /, width: int = 4, *, kind: str, bias=True) -> Net:
    '''Builds a net.

    More.
    '''

def quoted() -> "nn.Module": ...
def changed(model: Model) -> Model: ...
def count(number: Number) -> Number: ...
def both() -> tuple[Net, nn.Module]: ...
""",
    "models/_base": """
from torch import nn

class Base(nn.Module):
    def __init__(self, width=2): ...
""",
    "metrics/__init__": """
from ._all import Half as Half
from ._all import Loss as Loss
from ._all import Share as Share
from ._all import share as share
""",
    "metrics/_all": """
class Counted:
    def update(self, preds): ...

class Share(Counted):
    def compute(self): ...

class Half(Counted): ...
class Loss: ...
def share(): ...
""",
    "data/__init__": """
from ._all import own as own
from ._all import points as points
from ._all import rows as rows
""",
    "data/_all": """
from distill_core import data
from distill_core.data import Loader

class Own(Loader): ...

def own(*, batch_size) -> Own: ...
@anything(3)
def points(split, *, batch_size) -> data.Loader: ...
def rows() -> list[Loader]: ...
""",
}


@pytest.fixture
def shop(tmp_path, monkeypatch) -> str:
    """A package that cannot be imported, only read."""
    for name, text in SHOP.items():
        file = tmp_path / "shop_of_models" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\nraise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "shop_of_models"


def test_what_is_listed_follows_from_what_is_returned_and_from_bases(shop):
    listed = {what: [export.name for export in exports(what, [shop])] for what in ("models", "data", "metrics")}
    assert listed == {
        "models": ["changed", "Deep", "Net", "net", "quoted"],
        "data": ["own", "points"],
        "metrics": ["Share"],
    }


def test_an_export_tells_its_path_its_parameters_and_what_it_is(shop):
    found = {export.name: export for export in exports("models", [shop])}
    assert (found["net"].path, found["net"].summary) == ("shop_of_models.models.net", "Builds a net.")
    assert found["net"].parameters == tuple(
        Parameter(*pair) for pair in [("size", None), ("width", "4"), ("kind", None), ("bias", "True")]
    )
    assert found["Deep"].parameters == (Parameter("depth", None), Parameter("width", "8"))
    assert found["Net"].parameters == (Parameter("width", "2"),)  # inherited


def test_the_table_has_a_block_for_each_package_with_what_must_be_given_first(shop):
    assert export_tables("models", exports("models", [shop])).splitlines() == [
        "model    parameters                      description",
        "changed  model",
        "Deep     depth, width=8",
        "Net      width=2                         A net.",
        "net      size, kind, width=4, bias=True  Builds a net.",
        "quoted   –",
        "",
        "5 models; import paths: shop_of_models.models.changed",
    ]


def test_where_nothing_is_installed_a_line_says_what_to_install():
    assert export_tables("data", exports("data", ["absent_package"])) == (
        "no datasets are installed: pip install distill-vision for images, distill-nlp for text"
    )


def test_the_last_column_is_folded_where_the_terminal_ends():
    rows = [("loss", "method"), ("KDLoss", "one two three four five six seven"), ("X", "")]
    assert table(rows, "the end", width=32).splitlines() == [
        "loss    method",
        "KDLoss  one two three four five",
        "        six seven",
        "X",
        "",
        "the end",
    ]
    assert table(rows, "", width=5).splitlines()[1:3] == table(rows, "", width=32).splitlines()[1:3]  # no narrower


INSTALLED = [package for package in PACKAGES if find_spec(package)]


def _belongs(thing, what: str) -> bool:
    """The rule once more, for an imported object."""
    from distill_core.data import Loader

    if what == "metrics":
        return inspect.isclass(thing) and hasattr(thing, "update") and hasattr(thing, "compute")
    kind = nn.Module if what == "models" else Loader
    if inspect.isclass(thing):
        return what == "models" and issubclass(thing, kind)
    made = get_type_hints(thing).get("return") if inspect.isfunction(thing) else None
    made = made.__bound__ if isinstance(made, TypeVar) else made
    return inspect.isclass(made) and issubclass(made, kind)


@pytest.mark.skipif(not INSTALLED, reason="no package with models, data or metrics is installed")
@pytest.mark.parametrize("what", ["models", "data", "metrics"])
def test_what_is_listed_is_what_the_packages_export(what):
    listed = {export.path: export for export in exports(what)}
    doors = [f"{package}.{what}" for package in INSTALLED if find_spec(f"{package}.{what}")]
    exported = {
        f"{door}.{name}": thing for door in doors for name, thing in vars(importlib.import_module(door)).items()
    }
    public = {path: thing for path, thing in exported.items() if not path.rpartition(".")[2].startswith("_")}
    assert listed.keys() == {path for path, thing in public.items() if _belongs(thing, what)}
    assert listed.keys() >= {path for path, thing in public.items() if hasattr(thing, "example_batch")}
    for path, export in listed.items():
        assert callable(public[path])
        assert [p.name for p in export.parameters] == list(inspect.signature(public[path]).parameters)
        assert export.summary == inspect.getdoc(public[path]).partition("\n")[0]


@pytest.mark.skipif("distill_vision" not in INSTALLED, reason="distill_vision is not installed")
def test_other_lists_for_programs(distill):
    records = json.loads(distill("list", "models", "--json").out)
    (resnet,) = [record for record in records if record["name"] == "resnet20"]
    assert resnet["path"] == "distill_vision.models.resnet20"
    assert resnet["parameters"][0] == {"name": "num_classes", "default": "10"}
    assert resnet["summary"] == "Build ResNet-20."
