"""`load_weights`: wrapped names, shards, new heads; what does not fit is refused by name."""

from __future__ import annotations

import json
import logging
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from distill_core.errors import DistillError
from distill_core.weights import load_weights, read_weights


class Net(nn.Module):
    """A body of several parts and a head at its end."""

    def __init__(self, classes=3, blocks=2):
        super().__init__()
        self.stem = nn.Linear(4, 6)
        self.blocks = nn.Sequential(*[nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6)) for _ in range(blocks)])
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        return self.fc(self.blocks(self.stem(x)))


class LightningLike(nn.Module):
    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


def same(model, source, but=()):
    theirs = source.state_dict()
    assert theirs.keys() - set(but) == {name for name in model.state_dict() if name not in but}
    for name, tensor in model.state_dict().items():
        assert name in but or torch.equal(tensor, theirs[name]), name


def training_script(model):
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


WRAPPED = {
    "DataParallel": lambda net: nn.DataParallel(net).state_dict(),
    "compiled": lambda net: torch.compile(net).state_dict(),
    "compiled inside DataParallel": lambda net: nn.DataParallel(torch.compile(net)).state_dict(),
    "a compiled part": lambda net: {
        name.replace("blocks.", "blocks._orig_mod."): t for name, t in net.state_dict().items()
    },
    "AveragedModel": lambda net: AveragedModel(net).state_dict(),
    "an attribute of a script": lambda net: LightningLike(student=net).state_dict(),
    "Lightning": lambda net: {
        "state_dict": LightningLike(model=net).state_dict(),
        "epoch": 3,
        "optimizer_states": [training_script(net)],
        "callbacks": {},
    },
    "a script with an optimizer": lambda net: {
        "optimizer": training_script(net),
        "model": net.state_dict(),
        "epoch": 1,
    },
    "Lightning with DataParallel": lambda net: {"state_dict": LightningLike(model=nn.DataParallel(net)).state_dict()},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_known_wrappers_are_taken_off(tmp_path, kind):
    net = Net()
    torch.save(WRAPPED[kind](net), tmp_path / "a.pt")
    same(load_weights(Net(), tmp_path / "a.pt"), net)


@pytest.mark.parametrize("part", ["module", "model", "student", "net"])
def test_a_model_with_a_part_of_such_a_name_keeps_it(tmp_path, part):
    model = LightningLike(**{part: nn.Linear(2, 2), "head": nn.Linear(2, 2)})
    torch.save(model.state_dict(), tmp_path / "a.pt")
    same(load_weights(LightningLike(**{part: nn.Linear(2, 2), "head": nn.Linear(2, 2)}), tmp_path / "a.pt"), model)


def test_of_several_models_one_is_to_be_chosen(tmp_path):
    student, average, teacher = Net(), Net(), Net()
    torch.save({"state_dict": LightningLike(model=student, ema_model=average).state_dict()}, tmp_path / "a.pt")
    with pytest.raises(DistillError) as error:
        load_weights(Net(), tmp_path / "a.pt")
    assert str(error.value) == (
        "the file holds the model's tensors several times, under 'ema_model.' and 'model.'\n"
        "  hint: choose one, key: state_dict.ema_model"
    )
    same(load_weights(Net(), tmp_path / "a.pt", key="state_dict.ema_model"), average)
    same(load_weights(Net(), tmp_path / "a.pt", key="state_dict.model"), student)
    torch.save({"model": student.state_dict(), "model_ema": nn.DataParallel(average).state_dict()}, tmp_path / "b.pt")
    with pytest.raises(DistillError, match=r"under several keys: 'model', 'model_ema'\n  hint: .*key: NAME"):
        load_weights(Net(), tmp_path / "b.pt")
    same(load_weights(Net(), tmp_path / "b.pt", key="model_ema"), average)
    save_file(LightningLike(student=student, teacher=teacher).state_dict(), tmp_path / "c.safetensors")
    with pytest.raises(DistillError, match=r"teacher\.blocks\.0\.0\.bias is not in the model"):
        load_weights(Net(), tmp_path / "c.safetensors")
    same(load_weights(Net(), tmp_path / "c.safetensors", key="teacher"), teacher)


def shards(net, folder, suffix, count=3):
    """Write shards as transformers does; return the index."""
    state = net.state_dict()
    stem, end = ("model", ".safetensors") if suffix == "safetensors" else ("pytorch_model", ".bin")
    files = [f"{stem}-{number + 1:05d}-of-{count:05d}{end}" for number in range(count)]
    where = {name: files[number % count] for number, name in enumerate(state)}
    for file in files:
        part = {name: state[name] for name in state if where[name] == file}
        save_file(part, folder / file) if suffix == "safetensors" else torch.save(part, folder / file)
    index = folder / f"{stem}{end}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_put_together(tmp_path, suffix):
    net = Net()
    index = shards(net, tmp_path, suffix)
    same(load_weights(Net(), index), net)
    same(load_weights(Net(), tmp_path), net)  # the folder
    wrapped = tmp_path / "wrapped"
    wrapped.mkdir()
    same(load_weights(Net(), shards(nn.DataParallel(net), wrapped, suffix)), net)


def change(index, **entries):
    content = json.loads(index.read_text())
    index.write_text(json.dumps({"weight_map": content["weight_map"] | entries}))


@pytest.mark.parametrize(
    "shard",
    [
        "../a.safetensors",
        "sub/a.safetensors",
        "..",
        "",
        ".",
        "/etc/passwd",
        "C:a.bin",
        "a\\b.bin",
        "x.index.json",
        3,
        None,
    ],
)
def test_a_shard_is_a_file_beside_the_index(tmp_path, shard):
    folder = tmp_path / "inside"
    folder.mkdir()
    save_file({"fc.bias": torch.zeros(3)}, tmp_path / "a.safetensors")
    index = shards(Net(), folder, "safetensors")
    change(index, **{"fc.bias": shard})
    with pytest.raises(DistillError, match=r"which is not the name of a file|`weight_map` must map|do not exist"):
        load_weights(Net(), index)


def test_shards_that_are_absent_or_of_another_checkpoint_are_told(tmp_path):
    index = shards(Net(), tmp_path, "safetensors")
    (tmp_path / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(DistillError) as error:
        load_weights(Net(), index)
    assert str(error.value) == (
        f"{index} lists shards that do not exist beside it: model-00002-of-00003.safetensors\n"
        "  hint: download all files of the checkpoint"
    )
    index = shards(Net(), tmp_path, "safetensors")
    change(index, more="model-00001-of-00003.safetensors")
    with pytest.raises(DistillError, match=r"does not match .*: it lacks more"):
        load_weights(Net(), index)
    index = shards(Net(), tmp_path, "safetensors")
    content = json.loads(index.read_text())
    name = next(iter(content["weight_map"]))
    del content["weight_map"][name]
    index.write_text(json.dumps(content))
    with pytest.raises(DistillError, match=f"it also holds {name}"):
        load_weights(Net(), index)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {}}', "[" * 100_000, "\xff"])
def test_an_index_that_is_none(tmp_path, text):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DistillError, match=r"is not JSON|is not an index of shards"):
        load_weights(Net(), path)


def test_a_folder_without_weights_is_told(tmp_path):
    with pytest.raises(DistillError, match=r"holds none of model\.safetensors, "):
        load_weights(Net(), tmp_path)


HEADS = {
    "another number of classes": lambda: Net(7).state_dict(),
    "no head": lambda: {name: tensor for name, tensor in Net().state_dict().items() if not name.startswith("fc.")},
    "a head with another name": lambda: {name.replace("fc.", "head."): t for name, t in Net(7).state_dict().items()},
    "a head with another bias": lambda: {name: t for name, t in Net(7).state_dict().items() if name != "fc.bias"},
}


@pytest.mark.parametrize("new_head", [True, "fc", ["fc"]])
@pytest.mark.parametrize("kind", HEADS)
def test_a_pretrained_body_gets_a_new_head(tmp_path, caplog, kind, new_head):
    state = HEADS[kind]()
    torch.save(state, tmp_path / "a.pt")
    net = Net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with caplog.at_level(logging.WARNING, "distill"):
        load_weights(net, tmp_path / "a.pt", new_head=new_head)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name] if name.startswith("fc.") else state[name]), name
    assert "new: fc.weight\n  new: fc.bias" in caplog.text
    assert ("omitted: head.weight" in caplog.text) == ("head.weight" in state)
    with pytest.raises(DistillError, match="does not fit Net"):
        load_weights(Net(), tmp_path / "a.pt")


BROKEN = {
    "a block is missing": lambda: Net(7, blocks=1).state_dict(),
    "a block too many": lambda: Net(7, blocks=3).state_dict(),
    "only the head": lambda: {name: t for name, t in Net().state_dict().items() if name.startswith("fc.")},
    "a wider body": lambda: Net(7).state_dict() | {"blocks.1.1.bias": torch.zeros(7)},
    "a wider input": lambda: Net().state_dict() | {"fc.weight": torch.zeros(3, 9)},
    "another layer's outputs": lambda: Net(7).state_dict() | {"blocks.0.1.running_mean": torch.zeros(9)},
    "names of nobody": lambda: {f"junk.{name}": tensor for name, tensor in Net().state_dict().items()},
}


@pytest.mark.parametrize("new_head", [False, True])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_body_is_complete_with_a_new_head_or_without(tmp_path, kind, new_head):
    torch.save(BROKEN[kind](), tmp_path / "a.pt")
    with pytest.raises(DistillError, match="does not fit Net"):
        load_weights(Net(), tmp_path / "a.pt", new_head=new_head)


def test_the_embedding_is_not_a_head(tmp_path):
    def language_model(words):
        return nn.Sequential(OrderedDict(embed=nn.Embedding(words, 4), norm=nn.LayerNorm(4), out=nn.Linear(4, words)))

    torch.save(language_model(9).state_dict(), tmp_path / "a.pt")
    with pytest.raises(DistillError, match=r"embed\.weight is \(9, 4\) in the file and \(5, 4\) in the model"):
        load_weights(language_model(5), tmp_path / "a.pt", new_head=True)


def test_a_head_that_does_not_exist_is_told(tmp_path):
    torch.save(Net().state_dict(), tmp_path / "a.pt")
    with pytest.raises(DistillError) as error:
        load_weights(Net(), tmp_path / "a.pt", new_head="fcc")
    assert str(error.value) == "new_head: Net has no module 'fcc' with weights\n  hint: did you mean 'fc'?"


def test_without_strictness_differences_are_logged_and_nothing_that_fits_is_refused(tmp_path, caplog):
    state = {name: tensor for name, tensor in Net().state_dict().items() if name != "fc.bias"} | {"more": torch.ones(1)}
    torch.save(state, tmp_path / "a.pt")
    with caplog.at_level(logging.WARNING, "distill"):
        load_weights(Net(), tmp_path / "a.pt", strict=False)
    assert "fc.bias is missing in the file\n  more is not in the model" in caplog.text
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "b.pt")
    with pytest.raises(DistillError, match="does not fit Net"):
        load_weights(Net(), tmp_path / "b.pt", strict=False)


def test_a_second_name_of_a_tensor_need_not_be_in_the_file(tmp_path, caplog):
    def tied():
        model = nn.Sequential(OrderedDict(embed=nn.Embedding(5, 3), out=nn.Linear(3, 5, bias=False)))
        model.out.weight = model.embed.weight
        return model

    source = tied()
    torch.save({"embed.weight": source.embed.weight.detach()}, tmp_path / "a.pt")
    with caplog.at_level(logging.INFO, "distill"):
        same(load_weights(tied(), tmp_path / "a.pt"), source)
    assert not caplog.text


def test_a_key_below_a_number_is_refused(tmp_path):
    torch.save({"epoch": 3, "model": {"weight": torch.ones(2)}}, tmp_path / "a.pt")
    with pytest.raises(DistillError, match=r"has no 'epoch\.model'\n  hint: omit --key"):
        read_weights(tmp_path / "a.pt", "epoch.model")


def test_a_name_instead_of_a_model_is_refused(tmp_path):
    with pytest.raises(DistillError, match=r"`model` must be an nn\.Module, got str"):
        load_weights("resnet18", tmp_path / "x.safetensors")
