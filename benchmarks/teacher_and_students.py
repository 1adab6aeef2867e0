"""Runs of one teacher and its students on drawn shapes, resumable run by run; shared by detection and segmentation.

Each finished run's `results.json` is copied to `results/shapes/<row>/seed<n>`, together with the teacher's weights in half
precision. The tables are written from these files after each run. What the folder holds is not trained again, so a
fresh checkout continues where the committed results end. Delete a run's folder to train it again.
"""

import argparse
import json
import math
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from distill_core import cli, report
from distill_core.weights import read_state, save_tensors

TEACHER = "teacher"
HEADER = (
    "\nThe standard error of a difference of two means is √(s₁²/n₁ + s₂²/n₂), with n runs of standard deviation s.\n\n"
    "| | compared with | difference (%) | standard error (%) | standard errors |\n"
    "|---|---|---:|---:|---:|\n"
)


def run(task: Path, row: str, seed: int, folder: Path, changes: Sequence[str]) -> None:
    """Train a row with a seed, or continue it, unless its results exist."""
    if (folder / "results.json").exists():
        return
    print(f"{row}, seed {seed}: {folder}", flush=True)
    weights = task / "results/shapes" / TEACHER / "seed0/student.safetensors"
    taught = [] if row == TEACHER or row.startswith("no_teacher") else [f"models.teacher.path={weights}"]
    settings = [f"seed={seed}", *taught, *changes]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    file = task / "configs/shapes" / f"{row}.yaml"
    cli.run_experiment(file, settings, output=folder, resume=True, quiet=not sys.stderr.isatty())
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    (folder / "cpu.json").write_text(json.dumps({"cpu_seconds": round(seconds)}) + "\n", encoding="utf-8")


def committed(target: Path) -> bool:
    """Return whether the results of a run, and the weights if it is the teacher's, are in the folder of results."""
    weights = target.parent.name != TEACHER or (target / "student.safetensors").is_file()
    return weights and (target / "results.json").is_file()


def keep(folder: Path, target: Path) -> None:
    """Copy what is committed of a finished run: its results and, of the teacher, the weights in half precision."""
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    results |= json.loads((folder / "cpu.json").read_text(encoding="utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    (target / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if target.parent.name == TEACHER:
        state = read_state(folder / "student.safetensors").tensors
        halves = {name: t.half() if t.is_floating_point() else t for name, t in state.items()}
        save_tensors(halves, target / "student.safetensors")


def publish(task: Path, rows: Sequence[str], metric: str, chance: float) -> None:
    """Write the tables and the chart of the committed runs."""
    results = task / "results/shapes"
    found = report.collect(
        [path.parent for row in rows for path in sorted((results / row).glob("seed*/*.json"))], metric=metric
    )
    table = report.summarise(found)
    title = f"{task.name.replace('_', ' ').capitalize()}: drawn shapes"
    report.print_table(table, title=title)
    written = report.write(results, found, table, title=title, chance_level=chance)
    lines = [f"Chance: {chance:.2%}. CPU minutes of a run, on average: {_minutes(results, rows)}.\n", HEADER]
    with written[0].open("a", encoding="utf-8") as file:
        file.write("\n" + "".join(lines + differences(table)))


def differences(rows: Sequence[report.Row]) -> list[str]:
    """Return lines that compare each distilled student with the one alone that has as many parameters and data."""
    lines = []
    for row in rows:
        alone = [r for r in rows if not r.teacher_parameters and r.parameters == row.parameters]
        if not row.teacher_parameters or not alone:
            continue
        difference = 100 * (row.best[0] - alone[0].best[0])
        error = 100 * math.sqrt(sum(r.best[1] ** 2 / r.seeds for r in (row, alone[0])))
        errors = f"{error:.2f} | {difference / error:+.1f}" if error > 0 else "– | –"
        lines.append(f"| {row.name} | {alone[0].name} | {difference:+.2f} | {errors} |\n")
    return lines


def _minutes(results: Path, rows: Sequence[str]) -> str:
    texts = []
    for row in rows:
        seconds = [
            json.loads(p.read_text(encoding="utf-8"))["cpu_seconds"] for p in (results / row).glob("seed*/*.json")
        ]
        texts += [f"{row} {sum(seconds) / len(seconds) / 60:.1f}"] if seconds else []
    return ", ".join(texts)


def main(task: Path, description: str, *, rows: Sequence[str], metric: str, chance: float) -> None:
    """Train every run that is not committed, and write the tables after each.

    Args:
        task: The folder of the benchmark, with `configs/shapes`.
        description: Shown by `--help`.
        rows: The files of the students in the order of the table.
        metric: The metric of the tables.
        chance: Its value for a model that has learnt nothing.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", metavar="key=value", help="changes of every file")
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, help="train only these students")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of each student")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--table", action="store_true", help="only write the tables of the committed runs")
    args = parser.parse_intermixed_args()
    # Seed by seed, so that an unfinished table has whole seeds.
    jobs = [(TEACHER, 0), *((row, seed) for seed in range(args.seeds) for row in args.rows)]
    for row, seed in [] if args.table else jobs:
        target = task / "results/shapes" / row / f"seed{seed}"
        if not committed(target):
            folder = args.output / f"{task.name}_shapes" / row / f"seed{seed}"
            run(task, row, seed, folder, args.changes)
            keep(folder, target)
            publish(task, [TEACHER, *rows], metric, chance)
    if args.table:
        publish(task, [TEACHER, *rows], metric, chance)
