"""A GPT-2 at a small size on the documentation of Python's library: what does its teacher give a smaller one?"""

import argparse
import math
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from distill_core import cli, report

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs/python_docs"
TEACHER = "ce_gpt2x3"
ROWS = (
    TEACHER,
    "ce_gpt2x1",
    "fkl_gpt2x1_from_gpt2x3",
    "jsd_gpt2x1_from_gpt2x3",
    "gkd_gpt2x1_from_gpt2x3",
    "gkd_warm_gpt2x1_from_gpt2x3",
    "rkl_gpt2x1_from_gpt2x3",
)
TITLE = "Language models on the documentation of Python's library"
PAGE = """# Language models

Written by `python benchmarks/language_modelling/run.py`. The text is on every machine: the docstrings of Python's standard
library, here {python}, a document per module, divided 90 : 5 : 5 by seed into training, validation and test. Tokens are byte-level
BPE of 1,024 words learnt from the training part; blocks of 64. The teacher is a GPT-2 of 3 layers and width 96 that saw all of
the training part four times, one for all seeds. The students have 1 layer of width 48 and see 2,400 blocks (about a quarter) twice,
300 steps of 16 blocks. Their learning rate was chosen for the student alone, among 0.005, 0.01 and 0.02, by the validation
documents of seed 0; with a teacher each has half cross-entropy and half its loss, not tuned. Perplexity: less is better.

On-policy GKD alone is no way to begin: a student with new weights learns nothing from what it writes, and sees the text in half of
the batches only. The row after it begins with an epoch of JSD on the text; it was added after the table had been seen.

{table}
{told}

The rest of the folder are recipes of papers, checked and run for two batches with small models by the tests, not trained here:
`configs/dolly` (forward and reverse KL, AKL, ABKD, TAID, GKD, DistiLLM, top k from a cache, the teacher's answers), `configs/ultrachat`
(TAID), `configs/squad` (ULD across vocabularies).
"""


def told(rows: Sequence[report.Row]) -> str:
    """Which students differ from the one without a teacher by more than twice the standard error."""
    _, alone, *taught = rows
    lines = []
    for row in taught:
        noise = 2 * math.sqrt(row.best[1] ** 2 / row.seeds + alone.best[1] ** 2 / alone.seeds)
        gain = alone.best[0] - row.best[0]
        kind = "within noise of" if abs(gain) <= noise else "better than" if gain > 0 else "worse than"
        lines.append(f"{row.name} is {kind} no teacher ({gain:+.1f}, noise {noise:.1f}).")
    return " ".join(lines)


def publish(folders: Sequence[Path]) -> None:
    """Write the table and the page."""
    path = HERE / "results" / CONFIGS.name
    report.publish(path, folders, title=TITLE)
    table = path.with_suffix(".md").read_text(encoding="utf-8").partition("\n\n")[2]
    rows = report.summarise(report.collect(folders))
    page = PAGE.format(python=platform.python_version(), table=table, told=told(rows))
    (HERE / "README.md").write_text(page, encoding="utf-8")


def train(row: str, seed: int, args: argparse.Namespace) -> None:
    """Train and test, unless it is done; what was interrupted goes on. One teacher teaches the students of all seeds."""
    folder = args.output / CONFIGS.name / row / f"seed{seed}"
    taught = args.output / CONFIGS.name / TEACHER / "seed0/student.safetensors"
    if not (folder / "results.json").exists():
        print(folder, flush=True)
        changes = [f"seed={seed}", *([f"models.teacher.path={taught}"] if "_from_" in row else []), *args.changes]
        cli.run_experiment(CONFIGS / f"{row}.yaml", changes, output=folder, resume=True, quiet=not sys.stderr.isatty())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("changes", nargs="*", metavar="key=value", help="changes of every file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where the runs go")
    args = parser.parse_args()
    train(TEACHER, 0, args)
    for seed in range(args.seeds):
        for row in ROWS[1:]:
            train(row, seed, args)
    folders = [args.output / CONFIGS.name / row / f"seed{seed}" for row in ROWS for seed in range(args.seeds)]
    publish(folders)
