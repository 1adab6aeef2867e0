"""Runs of one teacher and its students on small images, and their table; shared by detection and segmentation."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from distill_core import cli, report

HEADER = (
    "\nEach run, its last epoch:\n\n"
    "|  | seed | training loss, first epoch | last epoch | {name} on the training images (%) | on the test images (%) |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |\n"
)


def train(configs: Path, output: Path, name: str, seed: int, teacher: str, overrides: Sequence[str]) -> Path:
    """Train one row unless it is finished, resuming an interrupted run. The teacher with seed 0 teaches all students."""
    folder, weights = output / name / f"seed{seed}", output / teacher / "seed0" / "student.safetensors"
    if not (folder / "results.json").exists():
        from_teacher = [f"models.teacher.path={weights}"] if "_from_" in name else []
        overrides = [f"seed={seed}", *from_teacher, *overrides]
        cli.run_experiment(configs / f"{name}.yaml", overrides, output=folder, resume=True)
    return folder


def learnt(folder: Path, metric: str) -> str:
    """Return a row of the second table: training loss, and the metric on the training and test images."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = {r["epoch"]: r["loss"] for r in records if r["split"] == "train"}  # the last steps of each epoch
    results = json.loads((folder / "results.json").read_text())
    seen, unseen = (100 * results["last"][split][metric] for split in ("fit", "test"))
    first, *_, last = losses.values()
    return f"| {results['about']} | {results['seed']} | {first:.3f} | {last:.3f} | {seen:.2f} | {unseen:.2f} |\n"


def main(task: Path, description: str, teacher: str, students: Sequence[str], metric: str, name: str) -> None:
    """Train the teacher and all students, and write the tables.

    Args:
        task: The folder of the benchmark, with `configs` and `results`.
        description: Shown by `--help`.
        teacher: The recipe of the teacher.
        students: The recipes of the students.
        metric: The metric of the second table.
        name: The name of that metric in the table.
    """
    parser = argparse.ArgumentParser(description=description)
    recipes = {f"{row}.yaml" for row in (teacher, *students)}
    datasets = sorted(
        path.name for path in (task / "configs").iterdir() if recipes <= {file.name for file in path.iterdir()}
    )
    parser.add_argument("dataset", choices=datasets)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides for every recipe")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds per student")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of the runs")
    args = parser.parse_intermixed_args()
    rows = [(teacher, 0), *((student, seed) for seed in range(args.seeds) for student in students)]
    configs, output = task / "configs" / args.dataset, args.output / args.dataset
    runs = [train(configs, output, row, seed, teacher, args.overrides) for row, seed in rows]
    table = task / "results" / args.dataset
    report.publish(table, runs, title=f"{task.name.replace('_', ' ').capitalize()}: {args.dataset}")
    with table.with_suffix(".md").open("a", encoding="utf-8") as file:
        file.write(HEADER.format(name=name) + "".join(learnt(run, metric) for run in runs))
