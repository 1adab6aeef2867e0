"""Cards of finished runs."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import distill_zoo
from distill_zoo import Measurement, ZooError

RECIPE = """
models:
  student: !import_call:torch.nn.Linear {in_features: 3, out_features: &classes 2, bias: true}
  teacher: !import_call:torch.nn.Linear
    in_features: 3
    out_features: *classes
  nested: !import_call:torch.nn.Sequential {layer: !import_call:torch.nn.Linear {in_features: 3}}
  long: !import_call {key: torch.nn.Dropout, init: {kwargs: {p: 1e-1}}}
stages: []
"""
RESULTS = {
    "best": {"stage": 0, "epoch": 3, "val": {"top1": 91.23456}, "test": {"top1": 90.0}},
    "last": {"stage": 0, "epoch": 5, "val": {"top1": 80.0}},
    "selection": {"metric": "top1", "mode": "max", "split": "val"},
    "seed": 7,
}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.resolved.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "results.json").write_text(json.dumps(RESULTS), encoding="utf-8")
    (folder / "log.txt").write_text("finished\n", encoding="utf-8")
    (folder / "command.txt").write_text("distill run configs/ce_line.yaml seed=7\n", encoding="utf-8")
    environment = {"git": {"commit": "0123", "dirty": True}}
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")
    save_file(nn.Linear(3, 2).state_dict(), folder / "student.safetensors")
    return folder


def test_a_card_quotes_fractions_in_percent(run):
    fractions = {"best": {"val": {"top1": 0.9123456, "loss": 0.5}}, "percent": ["top1"]}
    (run / "results.json").write_text(json.dumps(RESULTS | fractions), encoding="utf-8")
    card = distill_zoo.add_run(run, "toy/line.ce", license="MIT")
    assert [(each.name, each.value) for each in card.metrics] == [("top1", 91.2346), ("loss", 0.5)]


def test_a_run_becomes_a_card_that_loads(run):
    added = distill_zoo.add_run(run, "toy/line.ce", license="MIT", tolerance=1.0)
    card = distill_zoo.card("toy/line")
    assert card == added
    assert (card.builder, card.kwargs) == ("torch.nn.Linear", {"in_features": 3, "out_features": 2, "bias": True})
    chosen = "epoch with the highest top1 on val"
    assert card.metrics == (
        Measurement(name="top1", value=90.0, split="test", chosen=chosen, seeds=(7,), tolerance=1.0),
        Measurement(name="top1", value=91.2346, split="val", chosen=chosen, seeds=(7,), tolerance=1.0),
    )
    assert (card.trained_by.recipe, card.trained_by.commit, card.trained_by.seed) == (
        "ce_line.yaml",
        "0123 with changes",
        7,
    )
    assert card.verified
    weights = distill_zoo.load_state_dict("toy/line.ce")
    model = distill_zoo.load("toy/line.ce")
    assert torch.equal(model.weight, weights["weight"])
    folder = distill_zoo.download("toy/line").parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "log.txt",
        "model.safetensors",
        "recipe.yaml",
        "results.json",
    ]


def test_a_second_run_is_added_to_the_card_file_and_its_comment_is_kept(run, tmp_path):
    cards = tmp_path / "home" / "cards"
    distill_zoo.add_run(run, "toy/line.ce", license="MIT")
    file = cards / "toy.yaml"
    file.write_text("# Toys.\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    distill_zoo.add_run(run, "toy/line.kd", license="MIT", teacher="toy/line.ce")
    assert distill_zoo.list_models("toy/*") == ["toy/line.ce", "toy/line.kd"]
    assert distill_zoo.card("toy/line.kd").teacher == "toy/line.ce"
    assert file.read_text(encoding="utf-8").startswith("# Toys.\nshared:")


def test_a_changed_weight_file_is_refused(run):
    distill_zoo.add_run(run, "toy/line.ce", license="MIT")
    path = distill_zoo.download("toy/line.ce")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ZooError, match=r"the SHA-256 of .* must be .*, got "):
        distill_zoo.load("toy/line.ce")


def test_a_missing_license_is_refused(run, tmp_path):
    with pytest.raises(ZooError) as caught:
        distill_zoo.add_run(run, "toy/line")
    assert str(caught.value) == "toy.yaml: toy/line: the field 'license' is missing"
    assert not (tmp_path / "home" / "cards" / "toy.yaml").exists()


@pytest.mark.parametrize("file", ["results.json", "student.safetensors"])
def test_an_unfinished_run_is_refused(run, file):
    (run / file).unlink()
    with pytest.raises(ZooError) as caught:
        distill_zoo.add_run(run, "toy/line", license="MIT")
    assert str(caught.value) == f"{run} is not the folder of a finished run: {file} is missing"


def test_arguments_that_are_objects_are_refused(run):
    (run / "nested.safetensors").write_bytes((run / "student.safetensors").read_bytes())
    with pytest.raises(
        ZooError, match=r"the arguments of models.nested are not plain values\n  hint: write the card by hand$"
    ):
        distill_zoo.add_run(run, "toy/line", model="nested", license="MIT")


@pytest.mark.parametrize(
    ("model", "kwargs"), [("teacher", {"in_features": 3, "out_features": 2}), ("long", {"p": 0.1})]
)
def test_aliases_and_the_long_form_are_supported(run, model, kwargs):
    (run / f"{model}.safetensors").write_bytes((run / "student.safetensors").read_bytes())
    assert distill_zoo.add_run(run, "toy/line", model=model, license="MIT").kwargs == kwargs


def test_an_unknown_model_is_named(run):
    (run / "x.safetensors").write_bytes((run / "student.safetensors").read_bytes())
    with pytest.raises(ZooError, match=r"has no model 'x'$"):
        distill_zoo.add_run(run, "toy/line", model="x", license="MIT")
