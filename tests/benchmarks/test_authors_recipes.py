"""Recipes compared with the authors' configurations (authors_recipes.json), and the sources of all recipes.

Names without a folder are of CIFAR-100.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .recipe_stages import BENCHMARKS, load, stages

AUTHORS = json.loads((Path(__file__).parent / "authors_recipes.json").read_text())["recipes"]


@pytest.mark.parametrize("name", AUTHORS)
def test_a_recipe_says_what_its_authors_say(name: str):
    file = name if "/" in name else f"image_classification/configs/cifar100/{name}"
    (found,) = stages(load(BENCHMARKS / f"{file}.yaml"))
    stage = AUTHORS[name]["stage"]
    settings = {
        "epochs": found.epochs,
        "batch": found.batch,
        "optimizer": found.optimizer,
        "lr": found.lr,
        "weight_decay": found.decay,
        "milestones": list(found.milestones),
    }
    assert {key: settings[key] for key in stage if key != "terms"} == {k: v for k, v in stage.items() if k != "terms"}
    names = {term["loss"] for term in stage["terms"]}
    weights = {name: [term["weight"] for term in stage["terms"] if term["loss"] == name] for name in names}
    assert found.terms == weights
    for term in stage["terms"]:
        assert not term["arguments"] or found.argument_values(term["loss"], term["arguments"]) == term["arguments"]


def test_every_method_on_cifar100_has_a_source():
    """Those without a configuration of their authors for this data follow another file of the folder or the paper's text."""
    followed = {*AUTHORS, *(f"ce_{model}" for model in ("resnet32x4", "wide_resnet40_1", "wide_resnet40_2"))}
    papers = ("born_again_", "ce_", "dml_", "ema_teacher_", "kd_", "multi_teacher_", "takd_", "wttm_")
    files = {file.stem for file in (BENCHMARKS / "image_classification/configs/cifar100").glob("*.yaml")}
    assert [name for name in sorted(files - followed) if not name.startswith(papers)] == []


YEAR = re.compile(r"\b(19|20)\d\d\b")
OWN = ("ce_", "mse_", "untrained_", "no_teacher", "kd_tuned")
"""Beginnings of the names of recipes without a method, or with one that the file beside it names."""


def test_every_recipe_names_its_source():
    """The comment at its top has the year of a paper, the name of an authors' repository, or the file that it derives from."""
    unnamed = []
    files = [file for file in BENCHMARKS.glob("*/configs/*/*.yaml") if "teacher_cache" not in file.parts]
    for file in sorted(files):
        text = file.read_text()
        comment = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        if not (YEAR.search(comment) or "/" in comment or file.stem.startswith(OWN)):
            unnamed.append(str(file.relative_to(BENCHMARKS)))
    assert unnamed == []
