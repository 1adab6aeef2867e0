from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import distill_zoo
from distill_zoo import ZooError

NAME = "digits/convnet8.kd"


@pytest.fixture
def folder(tmp_path):
    return distill_zoo.save_pretrained(NAME, tmp_path / "model")


def test_a_folder_has_weights_config_and_readme(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("---\nlicense: mit\nlibrary_name: distill-zoo\n")
    assert "| top1 | 95.2778 | test | epoch with the highest top1 on val | 0 |" in readme
    assert "distilled from digits/convnet64.ce" in readme


def test_a_saved_model_is_loaded_from_its_folder(folder):
    pytest.importorskip("distill_vision")
    model, original = distill_zoo.from_pretrained(folder), distill_zoo.load(NAME)
    images = torch.rand(4, 1, 8, 8)
    assert not model.training
    assert torch.equal(model(images), original(images))


def test_a_fine_tuned_model_is_saved_without_the_metrics_of_its_card(tmp_path):
    pytest.importorskip("distill_vision")
    model = distill_zoo.load(NAME)
    nn.init.zeros_(model.fc.weight)
    folder = distill_zoo.save_pretrained(NAME, tmp_path, model=model)
    card = json.loads((folder / "config.json").read_text(encoding="utf-8"))["card"]
    assert "metrics" not in card
    assert card["note"] == f"fine-tuned from {NAME}"
    assert not distill_zoo.from_pretrained(folder).fc.weight.any()


HOSTILE = [
    "os.system",
    "subprocess.call",
    "builtins.eval",
    "torch.hub.load",
    "torch.load",
    "distill_zoo._pretrained.push_to_hub",
]


def change(folder, **fields):
    path = folder / "config.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["card"] |= fields
    path.write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("nested", [False, True])
def test_the_builder_of_a_folder_is_not_called_unless_a_card_uses_it(folder, capfd, path, nested):
    call = {"builder": path, "kwargs": {"command": "echo it ran"}}
    change(folder, **({"kwargs": {"width": 8, "more": [call]}} if nested else call))
    with pytest.raises(ZooError) as caught:
        distill_zoo.from_pretrained(folder)
    assert str(caught.value) == (
        f"{folder / 'config.json'} calls '{path}', which no card of the zoo uses\n"
        "  hint: pass the function: from_pretrained(…, builder=…)"
    )
    assert "it ran" not in capfd.readouterr().out


class Own(nn.Module):
    def __init__(self, width: int, more: int = 0) -> None:
        super().__init__()
        vision = pytest.importorskip("distill_vision.models")
        inner = vision.convnet(width=width)
        for name, child in inner.named_children():
            self.add_module(name, child)
        self.more = more


def test_a_custom_builder_builds_the_model(folder):
    change(folder, builder="my.own", kwargs={"width": 8})
    assert distill_zoo.from_pretrained(folder, builder=Own, more=3).more == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"architectures": ["Bert"]}', "was not written by distill_zoo.save_pretrained"),
        ('{"format": 1, "card": []}', r"expected a mapping of fields, got \[\]"),
        ('{"format": 1, "card": {"nam": "x"}}', "is not a field of a card"),
    ],
)
def test_an_invalid_config_is_refused(folder, text, sentence):
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ZooError, match=sentence):
        distill_zoo.from_pretrained(folder)


def test_damaged_weights_in_a_folder_are_refused(folder):
    pytest.importorskip("distill_vision")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ZooError, match="its tensors overlap, leave gaps or do not end where the file ends"):
        distill_zoo.from_pretrained(folder)


def test_nothing_is_pushed_offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ZooError, match=r"cannot be pushed to me/mine while DISTILL_OFFLINE or HF_HUB_OFFLINE is set$"):
        distill_zoo.push_to_hub(NAME, "me/mine")
