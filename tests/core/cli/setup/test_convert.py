"""`distill convert`: checkpoints as scripts save them become safetensors with the model's own names, and back."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

LINEAR = ("--model", "torch.nn.Linear", "in_features=3", "out_features=2")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def same(tensors, model):
    assert tensors.keys() == model.state_dict().keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in model.state_dict().items())


def test_a_state_dict_becomes_safetensors_and_comes_back(distill, linear):
    torch.save(linear.state_dict(), "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors")
    size = Path("b.safetensors").stat().st_size
    assert (ended.code, ended.out, ended.err) == (0, f"b.safetensors: 2 tensors, 8 numbers, {size} bytes\n", "")
    same(load_file("b.safetensors"), linear)
    assert distill("convert", "b.safetensors", "deep/c.pth", *LINEAR).code == 0
    same(torch.load("deep/c.pth", weights_only=True), linear)
    assert sorted(path.name for path in Path().rglob("*")) == ["a.pt", "b.safetensors", "c.pth", "deep"]


def test_a_checkpoint_of_a_script_is_unwrapped_and_what_goes_is_told(distill, linear):
    model = {f"module._orig_mod.{name}": tensor for name, tensor in linear.state_dict().items()}
    optimizer = torch.optim.Adam(linear.parameters())
    linear(torch.ones(3)).sum().backward()
    optimizer.step()
    state = {
        "epoch": 3,
        "best": torch.ones(1),
        "name": "net",
        "state_dict": model,
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=0.1),
    }
    torch.save(state, "a.pth")
    ended = distill("convert", "a.pth", "b.safetensors", *LINEAR)
    assert ended.code == 0, ended.err
    assert ended.out.splitlines()[:-1] == [
        "taken from 'state_dict'",
        "omitted: 'epoch', int 3",
        "omitted: 'best', tensor (1,)",
        "omitted: 'name', str 'net'",
        "omitted: 'optimizer', dict of 2",
        "omitted: 'args', Namespace",
        "names: '_orig_mod.' of torch.compile removed from 2",
        "names: 'module.' of nn.DataParallel removed from all 2",
        "names and shapes: exactly those of Linear",
    ]
    assert load_file("b.safetensors").keys() == {"weight", "bias"}


def test_a_model_with_a_part_named_module_keeps_its_names(distill, linear):
    model = nn.ModuleDict({"module": linear, "head": linear})
    torch.save(model.state_dict(), "a.pt")
    assert distill("convert", "a.pt", "b.safetensors").code == 0
    same(load_file("b.safetensors"), model)


def test_of_several_places_one_is_to_be_chosen(distill, linear):
    average = {"decay": 0.9, "model": {name: tensor + 1 for name, tensor in linear.state_dict().items()}}
    torch.save({"model": linear.state_dict(), "teacher": linear.state_dict(), "ema": average}, "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors")
    assert (ended.code, ended.err) == (
        1,
        "a.pt has tensors by name under several keys: 'model', 'teacher'\n  hint: choose with --key NAME (in a recipe: key: NAME)\n",
    )
    ended = distill("convert", "a.pt", "b.safetensors", "--key", "ema.model")
    assert ended.out.splitlines()[:3] == [
        "taken from 'ema.model'",
        "omitted: 'model', OrderedDict of 2",
        "omitted: 'teacher', OrderedDict of 2",
    ]
    assert torch.equal(load_file("b.safetensors")["bias"], linear.bias.detach() + 1)
    assert distill("convert", "a.pt", "c.safetensors", "--key", "modle").err == (
        "a.pt has no 'modle'\n  hint: did you mean 'model'?\n"
    )
    assert distill("convert", "a.pt", "c.safetensors", "--key", "ema.decay").err == (
        "'ema.decay' of a.pt is float 0.9, not tensors by name\n"
    )


def test_shared_tensors_are_written_each(distill):
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "out": nn.Linear(3, 5, bias=False)})
    model["out"].weight = model["embedding"].weight
    torch.save(model.state_dict(), "a.bin")
    ended = distill("convert", "a.bin", "b.safetensors")
    assert ended.out.splitlines()[0] == (
        "shared: 'out.weight' shares the memory of 'embedding.weight'; the new file has a copy of each"
    )
    same(load_file("b.safetensors"), model)


def test_counters_that_old_files_do_not_have_are_added(distill):
    state = nn.BatchNorm1d(3).state_dict()
    del state["num_batches_tracked"]
    torch.save(dict(state), "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors", "--model", "torch.nn.BatchNorm1d", "num_features=3")
    assert ended.out.splitlines()[:2] == [
        "added: 'num_batches_tracked' of 1 batch norm, 0",
        "names and shapes: exactly those of BatchNorm1d",
    ]
    same(load_file("b.safetensors"), nn.BatchNorm1d(3))


def test_what_does_not_fit_the_model_is_told_and_nothing_is_written(distill, linear):
    torch.save({**linear.state_dict(), "scale": torch.ones(1)}, "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors", "--model", "torch.nn.Linear", "in_features=4", "out_features=2")
    assert (ended.code, ended.err) == (
        1,
        "a.pt does not fit Linear:\n  scale is not in the model\n  weight is (2, 3) in the file and (2, 4) in the model\n",
    )
    assert [path.name for path in Path().iterdir()] == ["a.pt"]


class Foreign:
    """Something that only unpickling gives."""


def test_a_file_that_needs_code_is_refused(distill, linear):
    torch.save({"model": linear.state_dict(), "other": Foreign()}, "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors")
    assert (ended.code, ended.err) == (
        1,
        f"a.pt is not a file of weights that can be read without running code: it needs {Foreign.__module__}.Foreign\n"
        "  hint: save the state dict alone where that code is installed: torch.save(model.state_dict(), FILE)\n",
    )
    torch.save(torch.zeros(1).expand(9), "b.pt")
    assert distill("convert", "b.pt", "b.safetensors").err == "b.pt holds Tensor, not tensors by name\n"
    torch.save({"w": torch.zeros(1).expand(9)}, "c.pt")
    assert distill("convert", "c.pt", "b.safetensors").err == (
        "'w' of c.pt is not a plain tensor whose values are all in the file\n"
    )
    torch.save({"epoch": 1}, "d.pt")
    assert distill("convert", "d.pt", "b.safetensors").err == "d.pt has no tensors by name\n"
    torch.save({"_orig_mod.w": torch.ones(1), "w": torch.ones(1)}, "e.pt")
    assert distill("convert", "e.pt", "b.safetensors").err == "two tensors would be called 'w': 'w' is the second\n"
    assert not Path("b.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("a.pt", "b.txt"),
            "b.txt is not a file of weights\n  hint: use one of the extensions .pt, .pth, .bin, .safetensors",
        ),
        (
            ("a.pt", "b.pth"),
            "a.pt and b.pth have the same format\n  hint: use the extension .safetensors for one of them",
        ),
        (("x.pt", "b.safetensors"), "there is no x.pt"),
        (("a.pt", "old.safetensors"), "old.safetensors exists\n  hint: remove it, or choose another name"),
        (
            ("a.pt", "b.safetensors", "width=3"),
            "'width=3' is an argument of --model, which is not set\n  hint: add --model IMPORT_PATH",
        ),
        (
            ("a.pt", "b.safetensors", "--model", "torch.Generator"),
            "'torch.Generator' must build an nn.Module, got Generator",
        ),
    ],
)
def test_mistakes_of_the_command_line(distill, linear, words, told):
    torch.save(linear.state_dict(), "a.pt")
    Path("old.safetensors").write_bytes(b"old")
    ended = distill("convert", *words)
    assert (ended.code, ended.err) == (2, told + "\n")
    assert Path("old.safetensors").read_bytes() == b"old"


def test_the_model_is_built_past_the_guard_and_its_signature(distill, linear):
    torch.save(linear.state_dict(), "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors", "--model", "os.system", "command=true")
    assert (ended.code, ended.err.splitlines()[0]) == (
        3,
        "command line:1:1: 'os.system' is outside the trusted packages",
    )
    ended = distill("convert", "a.pt", "b.safetensors", "--model", "torch.nn.Linear", "in_feature=3", "out_features=2")
    assert ended.code == 2
    assert "torch.nn.Linear() has no parameter 'in_feature'\n    +in_feature=3\n     ^\n" in ended.err
    assert not Path("b.safetensors").exists()


def test_a_constructor_that_computes_with_numbers_is_built_with_memory(distill, linear, monkeypatch):
    Path("computing.py").write_text(
        "import torch\ndef net():\n    return torch.nn.Linear(3, int(torch.full((), 2.0).item()))\n"
    )
    monkeypatch.syspath_prepend(".")
    torch.save(linear.state_dict(), "a.pt")
    ended = distill("convert", "a.pt", "b.safetensors", "--model", "computing.net", "--trust", "computing")
    assert (ended.code, ended.err) == (0, "")
    same(load_file("b.safetensors"), linear)
