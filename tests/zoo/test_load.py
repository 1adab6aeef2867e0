from __future__ import annotations

import argparse
import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import distill_zoo
from distill_zoo import ZooError, _optional

LINE = {"in_features": 3, "out_features": 2}


class Hostile:
    def __reduce__(self):
        return os.system, ("echo it ran",)


@pytest.fixture
def cached(monkeypatch, make_card, add_card, tmp_path):
    """Write a weight file to the cache for a card with the given builder, and go offline."""

    def put(content, builder="torch.nn.Linear", suffix=".pt", **kwargs):
        card = add_card(make_card(f"https://example.org/line{suffix}", None, builder, **kwargs))
        monkeypatch.setenv("DISTILL_OFFLINE", "1")
        path = tmp_path / "home" / "weights" / card.name / card.weights.filename
        path.parent.mkdir(parents=True)
        if suffix == ".safetensors":
            save_file(content, path)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path)
        return path

    return put


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_state_dict_is_loaded_unchanged(cached, suffix):
    weights = nn.Linear(3, 2).state_dict()
    cached(weights, suffix=suffix)
    loaded = distill_zoo.load_state_dict("toy/line")
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)


def test_a_model_is_loaded_with_its_weights_in_eval_mode(cached):
    source = nn.BatchNorm1d(4)
    source(torch.randn(8, 4))
    cached(source.state_dict(), "torch.nn.BatchNorm1d", num_features=4)
    model = distill_zoo.load("toy/line")
    assert not model.training
    x = torch.randn(5, 4)
    assert torch.equal(model(x), source.eval()(x))


def test_an_override_replaces_an_argument_of_the_card(cached):
    cached(nn.Linear(3, 2, bias=False).state_dict(), **LINE)
    assert distill_zoo.load("toy/line", bias=False).bias is None


def test_an_unknown_override_suggests_the_nearest(cached):
    cached(nn.Linear(3, 2).state_dict(), **LINE)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load("toy/line", out_feature=4)
    assert str(caught.value) == (
        "toy/line: torch.nn.Linear() has no parameter 'out_feature'\n  hint: did you mean 'out_features'?"
    )


def test_all_mismatches_are_listed(cached):
    cached({"weight": torch.zeros(2, 3), "scale": torch.zeros(1)}, in_features=3, out_features=4)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load("toy/line")
    assert str(caught.value) == (
        "the weights of toy/line do not match Linear:\n"
        "  bias is missing from the file\n"
        "  scale is not in the model\n"
        "  weight is (2, 3) in the file and (4, 3) in the model\n"
        "  hint: build the model with the 2 classes of the file instead of 4, then replace the last layer"
    )


def test_another_number_of_input_channels_is_recognised(cached):
    cached(nn.Conv2d(3, 4, 1).state_dict(), "torch.nn.Conv2d", in_channels=1, out_channels=4, kernel_size=1)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load("toy/line")
    assert str(caught.value) == (
        "the weights of toy/line do not match Conv2d:\n"
        "  weight is (4, 3, 1, 1) in the file and (4, 1, 1, 1) in the model\n"
        "  hint: build the model for the 3 input channels of the file instead of 1"
    )


def test_another_architecture_is_recognised(cached):
    cached({"a": torch.zeros(1)}, **LINE)
    with pytest.raises(
        ZooError,
        match="hint: use the weights of the same architecture: no name matches, the file has 'a', the model 'bias'",
    ):
        distill_zoo.load("toy/line")


def test_num_batches_tracked_may_be_missing(cached):
    weights = nn.BatchNorm1d(4).state_dict()
    del weights["num_batches_tracked"]
    cached(weights, "torch.nn.BatchNorm1d", num_features=4)
    assert distill_zoo.load("toy/line").num_batches_tracked == 0


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", "student"])
def test_the_weights_in_a_training_checkpoint_are_found(cached, key):
    weights = nn.Linear(3, 2).state_dict()
    wrapped = {f"module.{name}": tensor for name, tensor in weights.items()}
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
    args = argparse.Namespace(config="a.yaml", epochs=3, device="cuda", nested=argparse.Namespace(x=[1, (2, "3")]))
    cached({"epoch": 3, "best_value": 91.5, "optimizer": optimizer, "args": args, key: wrapped}, **LINE)
    loaded = distill_zoo.load_state_dict("toy/line")
    assert loaded.keys() == weights.keys()
    assert all(torch.equal(loaded[name], weights[name]) for name in weights)


def test_a_malicious_object_in_the_arguments_of_a_checkpoint_is_refused(cached, capfd):
    args = argparse.Namespace(config=Hostile())
    path = cached({"model": nn.Linear(3, 2).state_dict(), "args": args}, **LINE)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load_state_dict("toy/line")
    assert str(caught.value) == (
        f"toy/line: {path} is not a weight file that can be read without running code: it would call posix.system"
    )
    assert "it ran" not in capfd.readouterr().out


def test_no_error_suggests_unsafe_loading(cached):
    cached(Hostile(), **LINE)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load_state_dict("toy/line")
    assert "weights_only" not in str(caught.value)


def test_on_the_meta_device_nothing_is_read(cached):
    cached(b"no weights at all", **LINE)
    with torch.device("meta"):
        assert distill_zoo.load("toy/line").weight.is_meta


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (Hostile(), "it would call posix.system"),
        ({"weight": Hostile()}, "it would call posix.system"),
        (b"PK\x03\x04 and no archive", "it is truncated or damaged"),
        (b"<html>not found</html>", "is not a torch file: it is an HTML or XML page"),
        (b"", "is not a torch file: it is empty"),
        (b"\x80\x04.", "is not a torch file: it is a pickle, which can run code"),
    ],
)
def test_a_file_without_weights_is_refused_and_not_run(cached, capfd, content, reason):
    path = cached(content, **LINE)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load_state_dict("toy/line")
    unread = "is not a weight file that can be read without running code: "
    assert str(caught.value) == f"toy/line: {path} {reason if reason.startswith('is') else unread + reason}"
    assert "it ran" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "kind"),
    [([torch.zeros(1)], "list"), ({"epoch": 3, "w": torch.zeros(1)}, "dict with 'epoch'"), ({}, "an empty mapping")],
)
def test_other_content_is_refused(cached, content, kind):
    path = cached(content, **LINE)
    with pytest.raises(ZooError) as caught:
        distill_zoo.load_state_dict("toy/line")
    assert str(caught.value) == f"toy/line: {path} must hold a mapping of names to tensors, got {kind}"


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(_optional.EXTRAS, "nowhere_to_be_found", "vision")
    with pytest.raises(ZooError) as caught:
        _optional.optional("nowhere_to_be_found.models", "building toy/line requires nowhere_to_be_found")
    assert str(caught.value) == (
        "building toy/line requires nowhere_to_be_found, which is not installed\n  hint: pip install 'distill-zoo[vision]'"
    )


def test_without_distill_vision_the_message_names_the_extra(python):
    code = (
        "import sys; sys.modules['distill_vision'] = None\n"
        "import distill_zoo\n"
        "try:\n    distill_zoo.load('cifar10/resnet20')\n"
        "except distill_zoo.ZooError as error:\n    print(error)"
    )
    assert python(code).stdout == (
        "building cifar10/resnet20 requires distill_vision, which is not installed\n  hint: pip install 'distill-zoo[vision]'\n"
    )
