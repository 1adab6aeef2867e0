"""Runs of one teacher and its students on drawn shapes, resumable run by run; shared by detection and segmentation.

Each finished run's `results.json` is copied to `results/shapes/<row>/seed<n>`, together with the teacher's weights in half
precision. The tables are written from these files after each run. What the folder holds is not trained again, so a
fresh checkout continues where the committed results end. Delete a run's folder to train it again.

Every row has the first seeds, on which methods may be compared and chosen. The named methods, and the student alone, have
further seeds that nothing was chosen on: `results/confirmation.md`.
"""

import argparse
import json
import math
import os
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from distill_core import cli, report
from distill_core.weights import read_state, save_tensors

TEACHER = "teacher"
CONFIRMATION = 20  # its first seed; weights of losses were chosen with seed 10
Run = tuple[str, int]  # row and seed
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


def publish(task: Path, name: str, runs: Sequence[Run], metric: str, chance: float) -> None:
    """Write a table and a chart of the runs that are committed."""
    folders = [
        folder for folder in (task / "results/shapes" / row / f"seed{seed}" for row, seed in runs) if folder.is_dir()
    ]
    found = report.collect(folders, metric=metric)
    table = report.summarise(found)
    title = (
        f"{task.name.replace('_', ' ').capitalize()}: drawn shapes{', confirmation' if name == 'confirmation' else ''}"
    )
    report.print_table(table, title=title)
    written = report.write(task / "results" / name, found, table, title=title, chance_level=chance)
    lines = [f"Chance: {chance:.2%}. CPU minutes of a run, on average: {_minutes(folders)}.\n", HEADER]
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


def _minutes(folders: Sequence[Path]) -> str:
    seconds: dict[str, list[float]] = {}
    for folder in folders:
        results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        seconds.setdefault(folder.parent.name, []).append(results["cpu_seconds"])
    return ", ".join(f"{row} {statistics.mean(values) / 60:.1f}" for row, values in seconds.items())


def main(
    task: Path, description: str, *, rows: Sequence[str], named: Sequence[str], metric: str, chance: float
) -> None:
    """Train every run that is not committed, and write the tables after each.

    Args:
        task: The folder of the benchmark, with `configs/shapes`.
        description: Shown by `--help`.
        rows: The files of the students in the order of the table.
        named: The rows that are also trained with the seeds of the confirmation, the student alone among them.
        metric: The metric of the tables.
        chance: Its value for a model that has learnt nothing.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", metavar="key=value", help="changes of every file")
    parser.add_argument("--rows", nargs="+", choices=rows, default=rows, help="train only these students")
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds of each table")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--table", action="store_true", help="only write the tables of the committed runs")
    args = parser.parse_intermixed_args()
    # Seed by seed, so that an unfinished table has whole seeds.
    first = [(TEACHER, 0), *((row, seed) for seed in range(args.seeds) for row in rows)]
    further = [(row, CONFIRMATION + seed) for seed in range(args.seeds) for row in rows if row in named]
    tables = {"shapes": first, "confirmation": [(TEACHER, 0), *further]}
    for row, seed in [] if args.table else [*first, *further]:
        target = task / "results/shapes" / row / f"seed{seed}"
        if row in (TEACHER, *args.rows) and not committed(target):
            folder = args.output / f"{task.name}_shapes" / row / f"seed{seed}"
            run(task, row, seed, folder, args.changes)
            keep(folder, target)
            name = "shapes" if (row, seed) in first else "confirmation"
            publish(task, name, tables[name], metric, chance)
    for name in tables if args.table else []:
        publish(task, name, tables[name], metric, chance)
