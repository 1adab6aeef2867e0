"""Every tag, in both spellings."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

BOTH = [
    pytest.param("!import_call:torch.nn.Linear {in_features: 3, out_features: 2}", (3, 2), id="named"),
    pytest.param("!import_call:torch.nn.Linear [3, 2]", (3, 2), id="by position"),
    pytest.param("!import_call {key: torch.nn.Linear, init: {args: [3, 2]}}", (3, 2), id="long, args"),
    pytest.param(
        "!import_call {key: torch.nn.Linear, init: {args: [3], kwargs: {out_features: 2}}}", (3, 2), id="long, both"
    ),
    pytest.param(
        "!import_call {package: torch.nn, key: Linear, init: {args: null, kwargs: {in_features: 3, out_features: 2}}}",
        (3, 2),
        id="long, package",
    ),
    pytest.param("!import_call:torch.nn.Linear {in_features: 3, out_features: 2, _note: x}", (3, 2), id="scratch"),
    pytest.param("!import_call {key: torch.nn.Linear, init: {args: [3, 2]}, _name: &n x}", (3, 2), id="long, scratch"),
]


@pytest.mark.parametrize(("value", "size"), BOTH)
def test_import_call(build, value, size):
    built = build(f"x: {value}\n")["x"]
    assert type(built) is torch.nn.Linear
    assert (built.in_features, built.out_features) == size


@pytest.mark.parametrize(
    "value",
    [
        "!import_call:torch.nn.ReLU",
        "!import_call:torch.nn.ReLU {}",
        "!import_call:torch.nn.ReLU []",
        "!import_call {key: torch.nn.ReLU}",
        "!import_call {key: torch.nn.ReLU, init: null}",
        "!import_call {key: torch.nn.ReLU, init: {kwargs: null}}",
        "!import_call {key: torch.nn.ReLU, init: {}}",
    ],
)
def test_a_call_without_arguments(build, value):
    assert type(build(f"x: {value}\n")["x"]) is torch.nn.ReLU


@pytest.mark.parametrize(
    "value",
    [
        "!import_partial:torch.optim.SGD {lr: 0.5}",
        "!import_partial {key: torch.optim.SGD, init: {kwargs: {lr: 0.5}}}",
        "!import_partial {package: torch.optim, key: SGD, init: {kwargs: {lr: 0.5}}}",
    ],
)
def test_import_partial(build, value):
    partial = build(f"x: {value}\n")["x"]
    optimizer = partial([torch.nn.Parameter(torch.zeros(1))])
    assert isinstance(partial, functools.partial)
    assert type(optimizer) is torch.optim.SGD
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_an_error_of_a_partial_call_notes_its_location(build):
    partial = build("x: 1\ny: !import_partial:torch.optim.SGD {lr: -1.0}\n")["y"]
    with pytest.raises(ValueError, match=r"Invalid learning rate: -1\.0") as raised:
        partial([torch.nn.Parameter(torch.zeros(1))])
    assert raised.value.__notes__ == ["while calling torch.optim.SGD from run.yaml:2:4"]


@pytest.mark.parametrize(
    ("value", "thing"),
    [
        ("!import_get:torch.float32", torch.float32),
        ("!import_get {key: torch.float32}", torch.float32),
        ("!import_get {package: torch, key: float32}", torch.float32),
        ("!import_get:torch.nn.functional.relu", torch.nn.functional.relu),
        ("!import_get:torch.nn.functional.conv2d", torch.nn.functional.conv2d),
        ("!import_get:torch.nn.Linear", torch.nn.Linear),
        ("!import_get:builtins.int", int),
        ("!import_get:math.pi", __import__("math").pi),
    ],
)
def test_import_get(build, value, thing):
    assert build(f"x: {value}\n")["x"] is thing


@pytest.mark.parametrize(
    "value",
    [
        "!import_call_method:torch.nn.Embedding.from_pretrained {embeddings: *t, freeze: false}",
        "!import_call_method:torch.nn.Embedding.from_pretrained [*t, false]",
        "!import_call_method {package: torch.nn, class_name: Embedding, method_name: from_pretrained,"
        " init: {args: [*t], kwargs: {freeze: false}}}",
        "!import_call_method {package: torch.nn.Embedding.from_pretrained, init: {args: [*t, false]}}",
    ],
)
def test_import_call_method(build, value):
    built = build(f"_t: &t !import_call:torch.zeros [[4, 2]]\nx: {value}\n")["x"]
    assert type(built) is torch.nn.Embedding
    assert built.weight.requires_grad


@pytest.mark.parametrize(
    "value",
    [
        "!call_method:requires_grad_ {obj: *m, args: [false], returns_obj: true}",
        "!call_method:requires_grad_ {obj: *m, kwargs: {requires_grad: false}}",
        "!call_method {obj: *m, method_name: requires_grad_, args: [false], returns_obj: true}",
        "!call_method {obj: *m, method_name: requires_grad_, kwargs: {requires_grad: false}}",
    ],
)
def test_call_method(build, value):
    built = build(f"m: &m !import_call:torch.nn.Linear [1, 1]\nx: {value}\n")
    assert built["x"] is built["m"]
    assert not built["m"].weight.requires_grad


def test_call_method_returns_the_result_by_default(build):
    text = "!call_method:{} {{obj: !import_call:builtins.list [[1, 2, 1]], args: [1], returns_obj: {}}}"
    assert build(f"x: {text.format('count', 'false')}\n")["x"] == 2
    assert build(f"x: {text.format('count', 'true')}\n")["x"] == [1, 2, 1]


@pytest.mark.parametrize(
    "value", ["!getattr:in_features [*m]", "!getattr [*m, in_features]", "!getattr [*m, !join [in_, features]]"]
)
def test_getattr(build, value):
    assert build(f"m: &m !import_call:torch.nn.Linear [3, 1]\nx: {value}\n")["x"] == 3


@pytest.mark.parametrize("value", ["!getattr:nothing [*m, 7]", "!getattr [*m, nothing, 7]"])
def test_getattr_with_a_default(build, value):
    assert build(f"m: &m !import_call:torch.nn.Linear [3, 1]\nx: {value}\n")["x"] == 7


@pytest.mark.parametrize("value", ["!setattr:inplace [*m, true]", "!setattr [*m, inplace, true]"])
def test_setattr(build, value):
    built = build(f"m: &m !import_call:torch.nn.ReLU {{}}\nx: {value}\n")
    assert built["x"] is built["m"]
    assert built["m"].inplace is True


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("!access_by_index_or_key {data: [5, 6], index_or_key: 1}", 6),
        ("!access_by_index_or_key:1 [[5, 6]]", 6),
        ("!access_by_index_or_key:-1 [[5, 6, 7]]", 7),
        ("!access_by_index_or_key {data: {train: 5}, index_or_key: train}", 5),
        ("!access_by_index_or_key:train [{train: 5}]", 5),
        ("!access_by_index_or_key {data: {train: 5}, index_or_key: !join [tr, ain]}", 5),
    ],
)
def test_access_by_index_or_key(build, value, result):
    assert build(f"x: {value}\n")["x"] == result


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ("!join [a, 1, 2.5, true, null]", "a12.5TrueNone"),
        ("!join [a, !join [b, c]]", "abc"),
        ("!join []", ""),
        ("!pathjoin [a, b, 1]", "a/b/1"),
        ("!pathjoin ['~', b]", str(Path.home() / "b")),
        ("!expanduser ~/b", str(Path.home() / "b")),
        ("!abspath b", None),
    ],
)
def test_texts(build, value, result):
    assert build(f"x: {value}\n")["x"] == (str(Path("b").absolute()) if result is None else result)


def test_a_short_name_is_looked_up_in_the_registry(build):
    from distill_core.losses import KDLoss

    assert type(build("x: !import_call:KDLoss {temperature: 4.0}\n")["x"]) is KDLoss


def test_a_tag_needs_no_space_before_a_comma_or_bracket(build):
    built = build("x: [!import_get:torch.float32, !import_get:torch.float16]\ny: {z: !import_get:torch.float64}\n")
    assert built == {"x": [torch.float32, torch.float16], "y": {"z": torch.float64}}
