"""A GPT-2 at a small size on the documentation of Python's library: what does its teacher give a smaller one?"""

import argparse
import os
import sys
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
    "rkl_gpt2x1_from_gpt2x3",
)


def train(row: str, seed: int, args: argparse.Namespace) -> None:
    """Train and test, unless it is done; what was interrupted goes on. One teacher teaches the students of all seeds."""
    folder = args.output / CONFIGS.name / row / f"seed{seed}"
    taught = args.output / CONFIGS.name / TEACHER / "seed0/student.safetensors"
    if not (folder / "results.json").exists():
        print(folder, flush=True)
        changes = [f"seed={seed}", *([f"models.teacher.path={taught}"] if "_from_" in row else []), *args.changes]
        cli.run_experiment(
            CONFIGS / f"{row}.yaml", changes, output=folder, resume=True, quiet=not sys.stderr.isatty()
        )


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
    report.publish(
        HERE / "results" / CONFIGS.name, folders, title="Language models on the documentation of Python's library"
    )
