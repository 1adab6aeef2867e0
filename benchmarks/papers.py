"""The tables of the two torchdistill papers, each row with a recipe and a command; `python benchmarks/papers.py` writes README.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import our_numbers
from contents import FOLDERS, RESULTS
from gpu_hours import FLOPS, Work

HERE = Path(__file__).parent

P2021 = "Matsubara 2021, [torchdistill: A Modular, Configuration-Driven Framework for Knowledge Distillation](https://arxiv.org/abs/2011.12913)"
P2023 = (
    "Matsubara 2023, [torchdistill Meets Hugging Face Libraries for Reproducible, Coding-Free Deep Learning Studies]"
    "(https://arxiv.org/abs/2310.17644)"
)
AS_PUBLISHED = ("+data.train.holdout=0", "data.val.split=test")
"""Overrides that train on all images and look at the test split after each epoch, as the published runs do."""


@dataclass(frozen=True)
class Row:
    """A number of a paper.

    Attributes:
        name: The model or the method.
        published: The number of the paper.
        recipe: The file below `benchmarks`.
        theirs: The files of torchdistill below `configs/official`, without `yoshitomo-matsubara`.
    """

    name: str
    published: str
    recipe: str
    theirs: str


@dataclass(frozen=True)
class Part:
    """A table of a paper.

    Attributes:
        title: What it shows.
        metric: The name of the numbers.
        needs: The data and the length of a run.
        rows: Its rows.
        work: The operations of one of the rows.
        overrides: Overrides of all its commands.
        note: A sentence below it.
    """

    title: str
    metric: str
    needs: str
    rows: tuple[Row, ...]
    work: Work
    overrides: tuple[str, ...] = ()
    note: str = ""


def _imagenet(name: str, published: str, recipe: str, theirs: str, paper: str = "rrpr2020") -> Row:
    folder = f"ilsvrc2012/{paper}"
    return Row(name, published, f"image_classification/configs/ilsvrc2012/{recipe}.yaml", f"{folder}/{theirs}.yaml")


def _cifar(dataset: str, name: str, published: str, model: str) -> Row:
    recipe = f"image_classification/configs/{dataset}/ce_{model}.yaml"
    return Row(name, published, recipe, f"{dataset}/nlp-oss2023/{model}-final_run.yaml")


def _coco(name: str, published: str, model: str) -> Row:
    recipe = f"object_detection/configs/coco/ghnd_bottleneck_{model}_resnet50_from_{model}_resnet50.yaml"
    theirs = f"coco2017/rrpr2020/ghnd-custom_{model}_resnet50_fpn_from_{model}_resnet50_fpn.yaml"
    return Row(name, published, recipe, theirs)


_GLUE = {
    "mnli": ("MNLI-m/mm", "86.4/85.7", "84.2/83.3", "85.9/84.7"),
    "qqp": ("QQP, F1", "72.2", "71.4", "72.8"),
    "qnli": ("QNLI", "92.4", "91.0", "90.7"),
    "sst2": ("SST-2", "94.6", "94.1", "93.7"),
    "cola": ("CoLA", "61.5", "51.1", "57.0"),
    "stsb": ("STS-B", "85.0", "84.4", "85.6"),
    "mrpc": ("MRPC, F1", "89.2", "86.8", "87.5"),
    "rte": ("RTE", "68.9", "66.7", "66.7"),
    "wnli": ("WNLI", "65.1", "65.8", "65.1"),
}
"""GLUE task → its name, and the numbers of BERT-Large, BERT-Base and BERT-Base from BERT-Large."""


def _glue_rows() -> Iterator[Row]:
    for task, (name, *published) in _GLUE.items():
        alone = "mse" if task == "stsb" else "ce"
        files = [
            f"{alone}_bert_large_uncased",
            f"{alone}_bert_base_uncased",
            "kd_bert_base_uncased_from_bert_large_uncased",
        ]
        models = ("BERT-Large", "BERT-Base", "BERT-Base from BERT-Large")
        for model, number, file in zip(models, published, files, strict=True):
            method, _, rest = file.partition("_")
            recipe = f"glue/configs/{task}/{file}.yaml"
            yield Row(f"{name}, {model}", number, recipe, f"glue/nlp-oss2023/{task}/{method}/{rest}.yaml")


_IMAGENET = "ILSVRC 2012 as `ilsvrc2012/train` and `ilsvrc2012/val`"
PARTS = {
    P2021: (
        Part(
            "ResNet-18 from ResNet-34 on ImageNet", "top-1, %", f"{_IMAGENET}, torchvision's ResNet-34; 20 to 130 epochs of 1.28 M images",
            (
                _imagenet("KD", "71.37", "kd_resnet18_from_resnet34", "kd-resnet18_from_resnet34"),
                _imagenet("AT", "70.90", "at_resnet18_from_resnet34", "at-resnet18_from_resnet34"),
                _imagenet("FT", "70.45", "ft_resnet18_from_resnet34", "ft-resnet18_from_resnet34"),
                _imagenet("CRD", "70.93", "crd_resnet18_from_resnet34", "crd-resnet18_from_resnet34"),
                _imagenet("Tf-KD", "70.52", "tfkd_self_resnet18_from_resnet18", "tfkd-resnet18_from_resnet18"),
                _imagenet("SSKD", "70.09", "sskd_resnet18_from_resnet34", "sskd-resnet18_from_resnet34"),
                _imagenet("L2", "71.08", "l2_resnet18_from_resnet34", "ce_l2-resnet18_from_resnet34"),
                _imagenet("PAD-L2", "71.71", "padl2_resnet18_from_resnet34", "pad_l2-resnet18_from_resnet34"),
            ),
            Work("KD", 100, 1_281_167, 1.814, 3.664),
            note="Torchvision's ResNet-18 without a teacher has 69.76 %.",
        ),
        Part(
            "Bottlenecks in detectors (GHND) on COCO 2017", "box AP; mask AP", "COCO 2017, torchvision's detectors; 20 epochs of 118 k images",
            (_coco("Faster R-CNN", "0.359", "fasterrcnn"), _coco("Mask R-CNN", "0.369; 0.336", "maskrcnn")),
            Work("Faster R-CNN", 20, 118_287, 134.38, 134.38, is_bound=True),
        ),
    ),
    P2023: (
        Part(
            "Table 1: GLUE, test split of the leaderboard", "%", "GLUE, BERT of the hub; 3 to 5 epochs", tuple(_glue_rows()),
            Work("MNLI-m/mm, BERT-Base from BERT-Large", 3, 392_702, 11.2, 39.5, is_bound=True),
            note="The bound is that of sentences of 128 tokens; most are shorter.",
        ),
        Part(
            "Models on CIFAR-10", "top-1, %", "CIFAR-10; 182 to 300 epochs of 50 k images",
            (
                *(_cifar("cifar10", f"ResNet-{depth}", number, f"resnet{depth}") for depth, number in
                  ((20, "91.92"), (32, "93.03"), (44, "93.20"), (56, "93.57"), (110, "93.50"))),
                _cifar("cifar10", "WRN-40-4", "95.24", "wide_resnet40_4"),
                _cifar("cifar10", "WRN-28-10", "95.53", "wide_resnet28_10"),
                _cifar("cifar10", "WRN-16-8", "94.76", "wide_resnet16_8"),
                _cifar("cifar10", "DenseNet-BC (k = 12, depth 100)", "95.53", "densenet_bc_k12_depth100"),
            ),
            Work("WRN-28-10", 200, 50_000, 5.2),
            AS_PUBLISHED,
            "The overrides train on all images, and choose the epoch on the test split, as the published runs do. Omit them for an "
            "accuracy of which the test split knows nothing.",
        ),
        Part(
            "Models on CIFAR-100", "top-1, %", "CIFAR-100; 200 to 300 epochs of 50 k images",
            (
                _cifar("cifar100", "WRN-40-4", "79.44", "wide_resnet40_4"),
                _cifar("cifar100", "WRN-28-10", "81.27", "wide_resnet28_10"),
                _cifar("cifar100", "WRN-16-8", "79.26", "wide_resnet16_8"),
                _cifar("cifar100", "DenseNet-BC (k = 12, depth 100)", "77.14", "densenet_bc_k12_depth100"),
            ),
            Work("WRN-28-10", 200, 50_000, 5.2),
            AS_PUBLISHED,
        ),
        Part(
            "Knowledge review on ImageNet", "top-1, %", f"{_IMAGENET}, torchvision's ResNet-34; 100 epochs of 1.28 M images",
            (_imagenet("KR, ResNet-18 from ResNet-34", "71.64", "kr_resnet18_from_resnet34", "kr-resnet18_from_resnet34", "nlp-oss2023"),),
            Work("KR, ResNet-18 from ResNet-34", 100, 1_281_167, 1.814, 3.664),
        ),
        Part(
            "Segmentation", "mean IoU, %; pixels, %", "PASCAL VOC 2012 and COCO 2017, torchvision's weights for COCO; 30 epochs",
            (
                Row("DeepLabv3, ResNet-50, on VOC", "80.6; 95.7", "semantic_segmentation/configs/voc/ce_deeplabv3_resnet50.yaml",
                    "pascal_voc2012/nlp-oss2023/deeplabv3_resnet50.yaml"),
                Row("DeepLabv3, ResNet-101, on VOC", "82.4; 96.2", "semantic_segmentation/configs/voc/ce_deeplabv3_resnet101.yaml",
                    "pascal_voc2012/nlp-oss2023/deeplabv3_resnet101.yaml"),
                Row("LR-ASPP from DeepLabv3 (KTAAD), on COCO", "58.2; 92.1",
                    "semantic_segmentation/configs/coco/ktaad_lraspp_mobilenet_v3_large_from_deeplabv3_resnet50.yaml",
                    "coco2017/nlp-oss2023/ktaad-lraspp_mobilenet_v3_large_from_deeplabv3_resnet50.yaml"),
            ),
            Work("DeepLabv3, ResNet-101, on VOC", 30, 1464, 258.743),
        ),
    ),
}  # fmt: skip
"""Paper → its tables."""

_TEXT = """# Benchmarks

Each folder has the recipes and the results of a task. `python benchmarks/papers.py` writes this page.

| folder | content |
|---|---|
{folders}

## Results of this repository

These experiments have been run here. Their data or models are not those of the papers, so that their numbers do
not belong in the papers' tables.

| table | setting |
|---|---|
{results}

## The tables of the papers

*Theirs* are the numbers that torchdistill publishes. *Ours* are read from the logs of this repository, with a link to their table and the
setting, which is never that of the paper: the recipes of the papers need the named data and GPUs for hours or days, and none has been run to
its end. A dash: no run of this method. ±: sample standard deviation over seeds. A run takes the data from the folder DISTILL_DATA or `data`.

GPU hours are estimates, not measurements: a step counts as three forwards of the student and one of the teacher, a multiply-add as two
operations, and the GPU is assumed to do {flops:.0f} trillion operations per second. Reading data and evaluation are not counted.
"""


def _command(part: Part, row: Row) -> str:
    return " ".join(["distill run", f"benchmarks/{row.recipe}", *part.overrides])


def _part(part: Part) -> str:
    lines = [f"#### {part.title}", "", f"Needs {part.needs}.", ""]
    lines += [f"| | theirs, {part.metric} | ours | command |", "|---|---:|---:|---|"]
    lines += [
        f"| {row.name} | {row.published} | {our_numbers.cell(row.name)} | `{_command(part, row)}` |"
        for row in part.rows
    ]
    return "\n".join([*lines, "", " ".join([str(part.work), *([part.note] if part.note else [])])])


def page() -> str:
    """Return the README of this folder."""
    folders = "\n".join(f"| [{name}]({name}) | {content} |" for name, content in FOLDERS.items())
    results = "\n".join(f"| [{name}]({name}) | {setting} |" for name, setting in RESULTS.items())
    sections = [_TEXT.format(folders=folders, results=results, flops=FLOPS / 1e12).strip()]
    for paper, parts in PARTS.items():
        sections += [f"### {paper}", *map(_part, parts)]
        if paper == P2021:
            sections += [_table1(), TABLE3, our_numbers.stopped_stages()]
    return "\n\n".join(sections) + "\n"


DATA = {
    "CIFAR-10 and CIFAR-100": "image_classification/configs/cifar100/kd_wide_resnet40_1_from_wide_resnet40_4.yaml",
    "ImageNet": "image_classification/configs/ilsvrc2012/kd_resnet18_from_resnet34.yaml",
    "Tiny ImageNet": "image_classification/configs/tiny_imagenet/rkd_resnet18_from_resnet50.yaml",
    "CUB-200-2011": "image_classification/configs/cub2011/rkd_resnet18_from_resnet50.yaml",
    "Stanford Cars": "image_classification/configs/cars/rkd_resnet18_from_resnet50.yaml",
    "Stanford Online Products": "image_classification/configs/sop/rkd_resnet18_from_resnet50.yaml",
    "COCO": "object_detection/configs/coco/cwd_fasterrcnn_resnet18_from_fasterrcnn_resnet50.yaml",
    "PASCAL VOC": "semantic_segmentation/configs/voc/cwd_deeplabv3_mobilenet_v3_large_from_deeplabv3_resnet101.yaml",
}
"""Data set → one of its recipes."""


def _table1() -> str:
    lines = [
        "#### Table 1: the data sets of frameworks",
        "",
        "The table has no numbers. Each data set has recipes, which say what to download.",
        "",
    ]
    lines += ["| data set | command |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | `distill run benchmarks/{recipe}` |" for name, recipe in DATA.items())])


TABLE3 = """#### Table 3: stages whose students are redesigned

Nothing is redesigned here: `stop_early: true` ends a student's forward behind its last tap. CPU time of a step, from
[overhead](overhead/early_stop.md), which `python benchmarks/overhead/early_stop.py` writes:"""


if __name__ == "__main__":
    (HERE / "README.md").write_text(page(), encoding="utf-8")
