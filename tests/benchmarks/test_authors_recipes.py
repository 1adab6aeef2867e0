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
        "step": (found.batch or 0) * found.accumulate,
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


SOURCE = re.compile(
    r"\b[A-Z][\w'’-]+ (et al\. |and \w+ |& \w+ )?\(?(19|20)\d\d\b|\b[\w-]+/[\w.-]+ [0-9a-f]{7}\b|torchdistill's `\w+/"
)
"""A paper by authors and year, an authors' repository with its commit, or a file of torchdistill."""
PLAIN = ("ce_", "mse_", "untrained_", "no_teacher", "teacher")
"""Beginnings of the names of recipes without a method: what they override may name the source."""


def comments(file: Path) -> str:
    """Return the lines of comments of a recipe; of one without a method, those of its bases, too."""
    text = file.read_text()
    lines = " ".join(line.removeprefix("# ") for line in text.splitlines() if line.startswith("#"))
    base = re.search(r"^base: (.+)$", text, re.MULTILINE)
    return f"{lines} {comments(file.parent / base[1])}" if base and file.stem.startswith(PLAIN) else lines


FILES = sorted(file for file in BENCHMARKS.glob("*/configs/*/*.yaml") if "teacher_cache" not in file.parts)


OWN = {"coco_mini", "cifar100_public", "digits", "digits_methods", "fashion_mnist", "shapes"}
"""Folders of this project's own experiments: their recipes without a method and with tuned KD need no source."""


def with_base(file: Path) -> str:
    """Return the comments of a recipe and of the file that it is merged over, whose method it has."""
    base = re.search(r"^base: (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return comments(file) + (comments(file.parent / base[1]) if base else "")


def test_every_recipe_names_its_source():
    others = [file for file in FILES if not (file.parent.name in OWN and file.stem.startswith((*PLAIN, "kd_tuned")))]
    assert [str(file.relative_to(BENCHMARKS)) for file in others if not SOURCE.search(with_base(file))] == []


@pytest.mark.parametrize("name", AUTHORS)
def test_a_recipe_names_the_file_that_it_is_compared_with(name: str):
    if "/" in name:
        text = comments(BENCHMARKS / f"{name}.yaml").replace("\n", " ")
        repository = AUTHORS[name]["source"].partition(",")[0]
        assert repository in text
