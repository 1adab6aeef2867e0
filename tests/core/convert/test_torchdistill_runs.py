"""Converted runs give, step by step, the losses of torchdistill itself, where it is installed (hatch run torchdistill:test)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from distill_core.cli._load import build_experiment, load_document
from distill_core.convert import convert_torchdistill
from distill_core.data import SeedPath

from .old_files import FILES
from .old_ktaad import KTAAD
from .scene_data import write_scenes
from .test_contrastive_steps import recorded_draws
from .test_methods import root  # noqa: F401 - a fixture
from .test_steps import run
from .torchdistill_box import Box, Copies, stand_in_for_examples

pytestmark = pytest.mark.torchdistill


@dataclass(frozen=True)
class Method:
    """What a method needs.

    Attributes:
        copies: The auxiliary modules that start from ours.
        spelling: Spellings of the file that torchdistill 1.1.5 no longer reads, and their new ones.
        corrected: Whether its loss or its data is corrected, so that only `as_published` equals theirs.
    """

    copies: Copies = field(default_factory=dict)
    spelling: dict[str, str] = field(default_factory=dict)
    corrected: bool = False


METHODS: dict[str, Method] = {
    "kd": Method(),
    "kd_w_ls": Method(),
    "tfkd": Method(),
    "l2": Method(),
    "at": Method(),
    "rkd": Method(),
    "pkt": Method(),
    "dist": Method(),
    "skd": Method(),
    "kd_without_labels": Method(corrected=True),
    "spkd": Method(corrected=True),
    "dist_plus": Method(corrected=True),
    "fsp": Method(corrected=True),
    "ft": Method({0: {"teacher.paraphraser": "reconst.paraphraser"}, 1: {"student.translator": "ft.translator"}}),
    "fitnet": Method({0: {"student.convreg": "hint.student"}}),
    "dab": Method({0: {"student.connector_dict.c1": "dab.connector"}}),
    "vid": Method(
        {
            0: {
                f"student.regressor_dict.r1.regressor.{index}": f"vid.{name}"
                for index, name in ((0, "first"), (2, "second"), (4, "third"))
            }
        },
        {"regressor_kwargs": "kwargs"},
    ),
    "cckd": Method(
        {0: {f"{side}.linear": f"cckd.{side}_embedding.linear" for side in ("student", "teacher")}},
        {"kernel_params": "kernel_config", "key: gaussian": "type: gaussian"},
        corrected=True,
    ),
    "crd": Method(
        {0: {f"{side}.normalizer.linear": f"crd.{side}_embedding.linear" for side in ("student", "teacher")}}
    ),
    # Where only a fraction is kept, theirs keeps any of equally ranked images.
    "sskd": Method({0: {"teacher.ss_module": "aux_task.head"}, 1: {"student.ss_module": "sskd.student_head"}}),
    "pad": Method({0: {"student.var_estimator": "pad.branch"}}),
    "kr": Method(
        {
            0: {
                f"student.abf_modules.{theirs}.{part}": f"kr.levels.{1 - theirs}.{ours}"
                for theirs, part, ours in (
                    (0, "conv1", "reduce"),
                    (0, "conv2", "restore"),
                    (1, "conv1", "reduce"),
                    (1, "conv2", "restore"),
                    (1, "attention_conv", "attention"),
                )
            }
        },
        corrected=True,
    ),
    "ickd": Method({0: {"student.embed_dict.e1": "ickd.embedding"}}, corrected=True),
    "srd": Method({0: {"student.linear": "srd.projector"}}),
    "ktaad": Method(
        {
            0: {"teacher.paraphraser": "reconst.translator"},
            1: {"student.feature_adapter": "adapt.adapter", "student.affinity_adapter": "aff.adapter"},
        },
        corrected=True,
    ),
}
"""Method → what it needs."""


def totals(experiment: Any, rows: list[dict[str, float]]) -> list[float]:
    """Return the objective of each step: the weighted sum of its terms."""
    steps = iter(rows)
    per_stage = len(rows) // sum(stage.epochs for stage in experiment.stages)
    return [
        sum(term.weight * row[name] for name, term in stage.losses.items())
        for stage in experiment.stages
        for row in (next(steps) for _ in range(per_stage * stage.epochs))
    ]


@pytest.fixture(autouse=True)
def double():
    """Modules are made in float64, so that differences of rounding do not grow from step to step."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def prepare(experiment: Any) -> None:
    """Let the models take the images in float64, and give the teacher statistics of its data, so that its scores are moderate."""
    for model in experiment.models.values():
        model.register_forward_pre_hook(lambda module, args: tuple(arg.double() for arg in args))
    images = [batch["input"].flatten(0, -4) for batch in experiment.data["train"].batches(SeedPath(0, 0, 0))]
    with torch.no_grad():
        for _ in range(5):
            experiment.models["teacher"].train()(torch.cat(images))


TEXTS = {
    **FILES,
    "sskd": FILES["sskd"].replace("ss_ratio: 0.75", "ss_ratio: 1.0"),
    # The statistics of a batch normalisation in the paraphraser are corrected, without a published form.
    "ktaad": KTAAD.replace("uses_bn: True", "uses_bn: False").replace("weight: 0.0000001", "weight: 0.001"),
}


def test_every_method_and_task_is_compared():
    assert METHODS.keys() == TEXTS.keys()


def contrast(box: Box, drawn: list[torch.Tensor]) -> None:
    """Give their CRD our banks and negatives."""
    ours, theirs = box.fresh.stages[0].losses["crd"].loss, box.box.criterion.term_dict["crd"][0]
    theirs.memory_v1.copy_(ours.student_bank)
    theirs.memory_v2.copy_(ours.teacher_bank)
    negatives = iter(drawn)

    def supplement(batch: dict[str, Any]) -> dict[str, Any]:
        index = batch["index"]
        return {"pos_idx": index, "contrast_idx": torch.cat([index[:, None], next(negatives)], dim=1)}

    box.supplement = supplement


@pytest.mark.parametrize("as_published", [False, True], ids=["paper", "published"])
@pytest.mark.parametrize("name", METHODS)
def test_losses_of_each_step_and_the_student_at_the_end(name, as_published, root, tmp_path, monkeypatch):  # noqa: F811
    method = METHODS[name]
    if method.corrected and not as_published:
        pytest.skip("corrected: the numbers differ by intention")
    monkeypatch.chdir(tmp_path)
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    if name == "ktaad":
        write_scenes(root := tmp_path)
        stand_in_for_examples(monkeypatch)
    drawn = recorded_draws(monkeypatch)
    old.write_text(TEXTS[name].replace("ROOT", str(root)).replace("num_epochs: 1", "num_epochs: 2"))
    result = convert_torchdistill(old, as_published=as_published)
    assert not result.report.lost
    new.write_text(result.text)
    fresh, trained, rows = run(new, tmp_path, prepare)
    for before, after in method.spelling.items():
        old.write_text(old.read_text().replace(before, after))
    box = Box(old, fresh, method.copies, evaluates=not as_published, patch=monkeypatch)
    if name == "crd":
        contrast(box, drawn[id(trained.stages[0].losses["crd"].loss)])
    theirs, ours = box.losses(), totals(fresh, rows)
    assert len(ours) == 4 * len(fresh.stages)
    assert ours == pytest.approx(theirs, rel=1e-6)
    state = trained.models["student"].state_dict()
    assert state.keys() == box.student.keys()
    for key, value in box.student.items():
        torch.testing.assert_close(state[key], value, rtol=1e-5, atol=1e-7, msg=lambda text, key=key: f"{key}: {text}")


def test_evaluation_sees_the_same_batches(root, tmp_path):  # noqa: F811
    """Those of training are drawn at random: only their number is compared."""
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(FILES["kd"].replace("ROOT", str(root)))
    new.write_text(convert_torchdistill(old).text)
    data = build_experiment(load_document(new)).data
    config = importlib.import_module("torchdistill.common.yaml_util").load_yaml_file(str(old))
    stage, build = config["train"], importlib.import_module("torchdistill.datasets.util").build_data_loaders
    loaders = [stage["train_data_loader"], stage["val_data_loader"], config["test"]["test_data_loader"]]
    train, *others = build(config["datasets"], loaders, False)
    assert len(train) == len(data["train"])
    for theirs, split in zip(others, ("val", "test"), strict=True):
        batches = list(data[split].batches(SeedPath(0, 0, 0)))
        assert len(batches) == len(theirs)
        for ours, (images, labels) in zip(batches, theirs, strict=True):
            torch.testing.assert_close(ours["input"].double(), images.double(), rtol=0, atol=2e-6)
            assert ours["target"].tolist() == labels.tolist()
