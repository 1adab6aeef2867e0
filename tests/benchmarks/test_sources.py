"""Recipes that follow torchdistill's files, compared with what those files say (torchdistill_recipes.json).

Its KDLoss is α · CE + (1 − α) · τ² · KL: α weighs the labels, and 1 leaves no KL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from .recipe_stages import BENCHMARKS, Stage, load, stages

HERE = Path(__file__).resolve().parent
PUBLISHED = json.loads((HERE / "torchdistill_recipes.json").read_text())["recipes"]
IMAGES = "image_classification/configs"
RRPR2020 = "official/ilsvrc2012/yoshitomo-matsubara/rrpr2020"
NLP_OSS2023 = "official/ilsvrc2012/yoshitomo-matsubara/nlp-oss2023"
GLUE = "official/glue/yoshitomo-matsubara/nlp-oss2023"

SOURCES: dict[str, tuple[str, ...]] = {
    **{
        f"{IMAGES}/ilsvrc2012/{name}.yaml": (f"{RRPR2020}/{source}.yaml",)
        for name, source in {
            "at_resnet18_from_resnet34": "at-resnet18_from_resnet34",
            "crd_resnet18_from_resnet34": "crd-resnet18_from_resnet34",
            "ft_resnet18_from_resnet34": "ft-resnet18_from_resnet34",
            "kd_resnet18_from_resnet34": "kd-resnet18_from_resnet34",
            "l2_resnet18_from_resnet34": "ce_l2-resnet18_from_resnet34",
            "sskd_resnet18_from_resnet34": "sskd-resnet18_from_resnet34",
            "tfkd_self_resnet18_from_resnet18": "tfkd-resnet18_from_resnet18",
        }.items()
    },
    **{
        f"{IMAGES}/ilsvrc2012/{method}_resnet18_from_{teacher}.yaml": (
            f"sample/ilsvrc2012/{folder}/resnet18_from_{teacher}.yaml",
        )
        for method, folder, teacher in [
            ("cckd", "cckd", "resnet50"),
            ("dab", "dab", "resnet50"),
            ("dist", "dist", "resnet34"),
            ("distplus", "dist_plus", "resnet34"),
            ("fitnet", "fitnet", "resnet152"),
            ("fsp", "fsp", "resnet34"),
            ("ickd", "ickd", "resnet34"),
            ("lskd", "kd_w_ls", "resnet34"),
            ("pkt", "pkt", "resnet152"),
            ("rkd", "rkd", "resnet34"),
            ("skd", "skd", "resnet34"),
            ("spkd", "spkd", "resnet34"),
            ("vid", "vid", "resnet50"),
        ]
    },
    **{
        f"{IMAGES}/ilsvrc2012/{method}_bottleneck_{model}_from_{model}.yaml": (
            f"sample/ilsvrc2012/{method}/custom_{model}_from_{model}.yaml",
        )
        for method in ("hnd", "ghnd")
        for model in ("densenet169", "densenet201", "resnet152")
    },
    **{
        f"{IMAGES}/{data}/kd_{models}.yaml": (f"sample/{data}/kd/{models}-final_run.yaml",)
        for data, models in [
            ("cifar10", "resnet20_from_densenet_bc_k12_depth100"),
            ("cifar10", "wide_resnet40_1_from_wide_resnet40_4"),
            ("cifar100", "densenet_bc_k12_depth100_from_wide_resnet28_10"),
            ("cifar100", "wide_resnet40_1_from_wide_resnet40_4"),
        ]
    },
    **{
        f"object_detection/configs/coco/ghnd_bottleneck_{model}_resnet50_from_{model}_resnet50.yaml": (
            "official/coco2017/yoshitomo-matsubara/rrpr2020/"
            f"ghnd-custom_{model}_resnet50_fpn_from_{model}_resnet50_fpn.yaml",
        )
        for model in ("fasterrcnn", "maskrcnn")
    },
    **{
        f"glue/configs/{file.parent.name}/{file.name}": (
            f"{GLUE}/{file.parent.name}/{method}/{file.stem.partition('_')[2]}.yaml",
        )
        for file in sorted(BENCHMARKS.glob("glue/configs/*/*.yaml"))
        for method in [file.stem.partition("_")[0]]
    },
    f"{IMAGES}/ilsvrc2012/kr_resnet18_from_resnet34.yaml": (f"{NLP_OSS2023}/kr-resnet18_from_resnet34.yaml",),
    f"{IMAGES}/ilsvrc2012/padl2_resnet18_from_resnet34.yaml": (
        f"{RRPR2020}/ce_l2-resnet18_from_resnet34.yaml",
        f"{RRPR2020}/pad_l2-resnet18_from_resnet34.yaml",
    ),
    f"{IMAGES}/ilsvrc2012/srd_resnet18_from_resnet34.yaml": (
        "official/ilsvrc2012/roymiles/aaai2024/srd-resnet18_from_resnet34.yaml",
    ),
    "semantic_segmentation/configs/coco/ktaad_lraspp_mobilenet_v3_large_from_deeplabv3_resnet50.yaml": (
        "official/coco2017/yoshitomo-matsubara/nlp-oss2023/"
        "ktaad-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50.yaml",
    ),
    "semantic_segmentation/configs/voc/ce_deeplabv3_resnet50.yaml": (
        "official/pascal_voc2012/yoshitomo-matsubara/nlp-oss2023/deeplabv3_resnet50.yaml",
    ),
}

USUAL_KD = {"CrossEntropyLoss": [0.1], "KDLoss": [0.9]}
DIFFERENT: dict[str, dict[str, list[float]]] = {
    # Not torchdistill's 1, but those of the authors' code: a thousandth, and half for each group before.
    "dab": {"DABLoss": [1e-3 / 8, 1e-3 / 4, 1e-3 / 2, 1e-3]},
    # The authors' weights; torchdistill's are 1 and 1, without labels.
    "skd": {"CrossEntropyLoss": [0.5], "SKDInstanceLoss": [0.5], "SKDDirectionLoss": [0.5]},
    # The weights of the usual comparison; torchdistill's alpha of 0.9 gives the labels 0.9 and the teacher 0.1.
    **dict.fromkeys(("kd_resnet20", "kd_wide_resnet40_1", "kd_densenet"), USUAL_KD),
    # torchdistill's models have an auxiliary head, too, whose term its file leaves to a loss function of its own.
    "ce_deeplabv3": {"CrossEntropyLoss": [1.0, 0.5]},
}
"""Weights that are meant to differ from torchdistill's in a recipe's first stage, by the beginning of its name."""

MSE = {
    "fitnet": "FitNetLoss",
    "ft": "FactorAutoencoderLoss",
    "l2": "L2Loss",
    "padl2": "L2Loss",
    "ktaad": "KTAutoencoderLoss",
    "kd": "MSELoss",
}
MSE |= {"hnd": "HNDLoss", "ghnd": "GHNDLoss"}
"""What ours has for torchdistill's MSELoss, by method."""
OURS = {
    "AltActTransferLoss": "DABLoss",
    "AuxSSKDLoss": "SSKDHeadLoss",
    "ChSimLoss": "ICKDLoss",
    "HierarchicalContextLoss": "KRLoss",
    "LogitStdKDLoss": "StandardisedLogits",
}
ARGUMENTS = {
    "CRDLoss": {"input_size": "dim", "num_negative_samples": "num_negatives"},
    "DISTLoss": {"tau": "temperature"},
    "KDLoss": {"alpha": None},
    "RKDLoss": {"dist_factor": "distance_weight", "angle_factor": "angle_weight"},
    "SRDLoss": {"temperature": None},
    "SSKDLoss": {
        "kl_temp": "kd_temperature",
        "ss_temp": "ss_temperature",
        "tf_temp": "tf_temperature",
        "loss_weights": ("ce_weight", "kd_weight", "ss_weight", "tf_weight"),
    },
}
"""Our names of torchdistill's arguments, where they differ: several for a list, none for what is a weight of ours."""
NOT_COMPARED = {"DABLoss", "DISTPlusLoss", "FTLoss", "RegularizationLoss", "StandardisedLogits"}
"""Losses whose arguments torchdistill counts in another way: see the table of golden_torchdistill.py."""


def weights(term: dict[str, Any], method: str, batch: int | None) -> Iterator[tuple[str, float]]:
    """Yield our classes and weights of one of torchdistill's terms."""
    name, weight, arguments = term["loss"], float(term["weight"]), term["arguments"]
    if name == "KDLoss":
        yield from (("CrossEntropyLoss", weight * arguments["alpha"]), ("KDLoss", weight * (1 - arguments["alpha"])))
    elif name == "LogitStdKDLoss":
        yield from (("CrossEntropyLoss", arguments["alpha"]), ("StandardisedLogits", arguments["beta"]))
    elif name == "model":  # the loss of transformers' own forward
        yield ("CrossEntropyLoss" if method == "ce" else "ScoreLoss"), weight
    elif name == "SRDLoss":  # theirs is 2 · log Σ + KL
        yield from (("SRDLoss", 2 * weight), ("KDLoss", weight))
    elif name == "ChSimLoss":  # its sum over C · B² is ours over C · B
        assert batch
        yield OURS[name], weight / batch
    elif name == "VIDLoss":
        yield from ((name, weight * pair) for pair in arguments["pairs"])
    elif name != "RegularizationLoss":  # inside KTAutoencoderLoss
        yield (MSE[method] if name == "MSELoss" else OURS.get(name, name)), weight


def arguments(term: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a term of torchdistill in our names."""
    names, given = ARGUMENTS.get(term["loss"], {}), dict(term["arguments"])
    given.pop("pairs", None)
    given |= {{"key": "kernel", "max_p": "order"}.get(k, k): v for k, v in given.pop("kernel_params", {}).items()}
    ours: dict[str, Any] = {}
    for name, value in given.items():
        match names.get(name, name):
            case str(renamed):
                ours[renamed] = value
            case tuple(several):
                ours |= zip(several, value, strict=True)
    return ours


def published(file: str) -> list[Stage]:
    """Return what the sources of a recipe say, as our losses count it."""
    method = Path(file).stem.partition("_")[0]
    stages: list[Stage] = []
    for stage in [stage for source in SOURCES[file] for stage in PUBLISHED[source]]:
        batch = stage["batch"] or (stages[-1].batch if stages else None)
        terms: dict[str, list[float]] = {}
        for name, weight in [pair for term in stage["terms"] for pair in weights(term, method, batch)]:
            if weight > 0 and not (name in {"KRLoss", "GHNDLoss"} and name in terms):  # one term of ours has all levels
                terms.setdefault(name, []).append(weight)
        given = {OURS.get(term["loss"], term["loss"]): arguments(term) for term in stage["terms"]}
        settings = (stage["epochs"], batch, stage["optimizer"], stage["lr"], stage["weight_decay"])
        stages.append(Stage(*settings, tuple(stage["milestones"]), terms, given))
    for name, instead in DIFFERENT.items():
        if Path(file).stem.startswith(name + "_"):
            stages[0] = replace(stages[0], terms=instead)
    return stages


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: "/".join(Path(file).with_suffix("").parts[-2:]))
def test_a_recipe_says_what_its_source_says(file: str):
    ours, theirs = stages(load(BENCHMARKS / file)), published(file)
    for found, expected in zip(ours, theirs, strict=True):
        same = replace(found, terms={}, arguments={}, accumulate=1, batch=found.batch if expected.batch else None)
        assert same == replace(expected, terms={}, arguments={})
        assert found.terms == {name: pytest.approx(values) for name, values in expected.terms.items()}
        for loss in found.arguments.keys() & expected.arguments.keys() - NOT_COMPARED - {"CrossEntropyLoss"}:
            named = expected.arguments[loss]
            assert not named or found.argument_values(loss, named) == named


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: "/".join(Path(file).with_suffix("").parts[-2:]))
def test_a_recipe_names_torchdistill(file: str):
    comment = [line for line in (BENCHMARKS / file).read_text().splitlines() if line.startswith("#")]
    assert "torchdistill" in "\n".join(comment)


def test_stages_accumulate_as_in_the_paper():
    """KTAAD takes two batches of 8 per step in its second stage."""
    file = next(file for file in SOURCES if "coco/ktaad" in file)
    document = load(BENCHMARKS / file)
    assert [stage.get("accumulate", 1) for stage in document["stages"]] == [1, 2]
    assert document["stages"][0]["losses"]["translate"]["loss"][1]["sparsity"] == 1e-7


def test_crd_knows_the_classes():
    """Its source draws negatives of other classes only (`mode: exact`)."""
    document = load(BENCHMARKS / IMAGES / "ilsvrc2012/crd_resnet18_from_resnet34.yaml")
    assert document["_losses"]["crd"]["inputs"]["target"] == "batch.target"


def test_every_source_is_followed():
    assert {source for sources in SOURCES.values() for source in sources} == PUBLISHED.keys()


def test_a_recipe_without_a_source_here_says_so():
    """Files whose settings are torchdistill's are in the table; the others follow the authors' papers or code."""
    others = "ce_ entropic_ kdls_ mgd_ nkd_ ofa_ tfkd_resnet18 uskd_ vkd_ wkdl_ wsld_ kd_lraspp"
    folders = [BENCHMARKS / IMAGES / "ilsvrc2012", BENCHMARKS / "semantic_segmentation/configs/coco"]
    files = {file for folder in folders for file in folder.glob("*.yaml")} - {BENCHMARKS / file for file in SOURCES}
    assert [file.stem for file in sorted(files) if not file.stem.startswith(tuple(others.split()))] == []
