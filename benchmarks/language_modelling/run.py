"""Distil a small GPT-2 on the docstrings of Python's standard library, and write the table."""

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from verdicts import verdicts

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

Written by `python benchmarks/language_modelling/run.py`. The text is available on every machine: the docstrings of Python's
standard library, here {python}, one document per module, split 90 : 5 : 5 by seed into training, validation and test. The
tokenizer is a byte-level BPE with 1,024 tokens trained on the training split, and blocks have 64 tokens. The teacher is a GPT-2
with 3 layers of width 96, trained for four epochs on the training split, the same for all seeds. The students have 1 layer of
width 48 and train for two epochs on 2,400 blocks (about a quarter), 300 steps of 16 blocks. Their learning rate was selected for
the student without a teacher, among 0.005, 0.01 and 0.02, on the validation documents of seed 0. With a teacher, each loss has
weight 0.5 beside the cross-entropy, not tuned. Lower perplexity is better.

On-policy GKD from scratch does not work: a randomly initialised student learns nothing from its own text, and sees the data in only
half of the batches. The next row starts with an epoch of JSD on the data. It was added after the first results.

{table}
{verdicts}

SmolLM2 on its own conversations, with `python benchmarks/language_modelling/smollm2.py`: [smollm2.md](smollm2.md).

The other folders are recipes of papers. The tests check them and run them for two batches with small models; they were not trained:
`configs/dolly` (forward and reverse KL, AKL, ABKD, TAID, GKD, DistiLLM, top-k from a cache, teacher completions, DSKD with one
tokenizer and with two), `configs/ultrachat`
(TAID), `configs/squad` (ULD across vocabularies).
"""


def publish(folders: Sequence[Path]) -> None:
    """Write the table and the page."""
    path = HERE / "results" / CONFIGS.name
    report.publish(path, folders, title=TITLE)
    table = path.with_suffix(".md").read_text(encoding="utf-8").partition("\n\n")[2]
    _, baseline, *distilled = report.summarise(report.collect(folders))
    page = PAGE.format(python=platform.python_version(), table=table, verdicts=verdicts(baseline, distilled))
    (HERE / "README.md").write_text(page, encoding="utf-8")


def train(row: str, seed: int, args: argparse.Namespace) -> None:
    """Train and test a row unless it is finished, and resume an interrupted run. All seeds share one teacher."""
    folder = args.output / CONFIGS.name / row / f"seed{seed}"
    teacher = args.output / CONFIGS.name / TEACHER / "seed0/student.safetensors"
    if not (folder / "results.json").exists():
        print(folder, flush=True)
        changes = [f"seed={seed}", *([f"models.teacher.path={teacher}"] if "_from_" in row else []), *args.changes]
        cli.run_experiment(CONFIGS / f"{row}.yaml", changes, output=folder, resume=True, quiet=not sys.stderr.isatty())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("changes", nargs="*", metavar="key=value", help="override a setting in all configs")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="output folder of the runs")
    args = parser.parse_args()
    train(TEACHER, 0, args)
    for seed in range(args.seeds):
        for row in ROWS[1:]:
            train(row, seed, args)
    folders = [args.output / CONFIGS.name / row / f"seed{seed}" for row in ROWS for seed in range(args.seeds)]
    publish(folders)
