"""Numbers of this repository for rows of the papers' tables, read from the committed logs of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill_core import report

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Log:
    """The runs of a table.

    Attributes:
        path: The JSON file of its runs, or a folder with a folder of runs for each row.
        table: The table that is linked.
        setting: What differs from the paper's setting.
    """

    path: str
    table: str
    setting: str

    def values(self, row: str) -> list[float]:
        """Return the metric of each seed of a row, as a fraction."""
        path = HERE / self.path
        if path.is_dir():
            files = sorted((path / row).glob("seed*/results.json"))
            return [json.loads(file.read_text(encoding="utf-8"))["best"]["val"]["top1"] for file in files]
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        return [run["best"] for run in runs if run["row"] == row]


def _text(name: str, setting: str) -> Log:
    return Log(f"text_classification/results/{name}.json", f"text_classification/results/{name}.md", setting)


_IMAGES = "image_classification/results"
DIGITS = Log(f"{_IMAGES}/digits_methods.json", f"{_IMAGES}/digits_methods.md", "digits, 100 labels")
CIFAR100 = Log(
    f"{_IMAGES}/cifar100_public", f"{_IMAGES}/cifar100_public/table.md",
    "CIFAR-100, ResNet-20 from ResNet-56, 10 epochs of 18,000 images, validation split",
)  # fmt: skip
SST2 = _text("sst2_minilm", "3 layers of MiniLM, 2,000 sentences, dev set")
SST2_WHOLE = _text("sst2_minilm_whole", "MiniLM, dev set")
RTE = _text("rte_minilm", "MiniLM, 1,990 pairs, dev set")
COLA = _text("cola_minilm", "MiniLM, dev set")
COLA_SMALL = _text("cola_minilm", "3 layers of width 128, dev set")
STSB = _text("stsb_minilm", "3 layers of MiniLM as sentence embeddings, Spearman, dev set")

OURS: Mapping[str, tuple[tuple[Log, str], ...]] = {
    "KD": ((CIFAR100, "kd"), (DIGITS, "kd")),
    "AT": ((DIGITS, "at"),),
    "FT": ((DIGITS, "ft"),),
    "CRD": ((CIFAR100, "crd"), (DIGITS, "crd")),
    "Tf-KD": ((DIGITS, "tfkd"),),
    "SSKD": ((DIGITS, "sskd"),),
    "L2": ((DIGITS, "l2"),),
    "PAD-L2": ((DIGITS, "padl2"),),
    "KR, ResNet-18 from ResNet-34": ((DIGITS, "kr"),),
    "SST-2, BERT-Large": ((SST2_WHOLE, "ce_minilm6"),),
    "SST-2, BERT-Base": ((SST2, "ce_minilm3"),),
    "SST-2, BERT-Base from BERT-Large": ((SST2, "kd_minilm3_from_minilm6"),),
    "RTE, BERT-Large": ((RTE, "ce_minilm6"),),
    "CoLA, BERT-Large": ((COLA, "ce_minilm6"),),
    "CoLA, BERT-Base": ((COLA_SMALL, "ce_bert3"),),
    "CoLA, BERT-Base from BERT-Large": ((COLA_SMALL, "kd_bert3_from_minilm6"),),
    "STS-B, BERT-Base": ((STSB, "mse_minilm3"),),
}
"""Row of the papers → rows of our tables."""


def cell(row: str) -> str:
    """Return our numbers of a row of the papers with their settings; a dash if there are none."""
    numbers = []
    for log, name in OURS.get(row, ()):
        number = report.plus_minus(report.mean_and_deviation(log.values(name)), percent=True)
        numbers.append(f"{number} ([{log.setting}]({log.table}))")
    return "<br>".join(numbers) or "–"


def stopped_stages() -> str:
    """Return the CPU time of stages whose models stop early, beside those of redesigned models."""
    text = (HERE / "overhead/early_stop.md").read_text(encoding="utf-8")
    heads, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    columns = [heads.index(name) for name in ("stage", "complete", "stopped", "redesigned")]
    lines = ["| stage | complete step | stopped, relative | redesigned, relative |", "|---|---:|---:|---:|"]
    return "\n".join([*lines, *(f"| {' | '.join(row[column] for column in columns)} |" for row in rows)])
