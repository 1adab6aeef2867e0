"""CIFAR-100 from a public ResNet-56: methods with equal budgets, chosen on a validation split; resumable run by run.

The folder `--data` holds `cifar100/cifar-100-binary` and `cifar100/weights/cifar100_resnet56.pth`. Each finished run's
`results.json` and student, in half precision, are copied to `results/cifar100_public`, from which table and plot are written.
`tried.json` there holds the accuracy of each combination under `_tried`. What this folder holds is not trained again, so a
fresh checkout continues where the committed results end. Delete a run's folder to train it again.
`--evaluate FOLDER` measures the committed students on the test split of another CIFAR-100 folder.
"""

import argparse
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from methods import trials

from distill_core import cli, report
from distill_core.weights import load_weights, save_tensors

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / "configs/cifar100_public"
RESULTS = HERE / "results/cifar100_public"
ROWS = ("no_teacher", "kd", "kd_tuned", "dkd", "lskd_kd", "crd", "wttm")
TUNED = ("kd_tuned", "wttm")
TITLE = "CIFAR-100 from a public ResNet-56"
TEACHER = """The teacher, ResNet-56, has a published top-1 of 72.63 % on the official test set. It has seen the validation images,
so it is not measured on them. All rows have ten epochs on 18,000 images; 2,000 others are the validation split.
±: sample standard deviation over seeds. Minutes: wall clock, on a machine with other work; CPU minutes: one thread."""


def run(row: str, seed: int, folder: Path, args: argparse.Namespace, changes: list[str]) -> None:
    """Train a row with a seed, or continue it, unless its results exist."""
    if (folder / "results.json").exists():
        return
    print(f"{row}, seed {seed}: {folder}", flush=True)
    teacher = args.data / "cifar100/weights/cifar100_resnet56.pth"
    settings = [f"seed={seed}", f"_teacher.path={teacher}", *changes, *args.changes]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    cli.run_experiment(CONFIGS / f"{row}.yaml", settings, output=folder, resume=True, quiet=not sys.stderr.isatty())
    seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    (folder / "cpu.json").write_text(json.dumps({"cpu_seconds": round(seconds)}) + "\n", encoding="utf-8")


def committed(row: str, seed: int) -> bool:
    """Return whether the results and the student of a run are in the folder of results."""
    target = RESULTS / row / f"seed{seed}"
    return (target / "results.json").is_file() and (target / "student.safetensors").is_file()


def keep(row: str, seed: int, folder: Path) -> None:
    """Copy what is committed of a finished run: its results, its log of the validation split, its student in half."""
    target = RESULTS / row / f"seed{seed}"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    results |= json.loads((folder / "cpu.json").read_text(encoding="utf-8"))
    _write(target / "results.json", results)
    student = load_weights(_resnet20(), folder / "student.safetensors")
    halves = {name: t.half() if t.is_floating_point() else t for name, t in student.state_dict().items()}
    save_tensors(halves, target / "student.safetensors")


def tune(row: str, args: argparse.Namespace) -> tuple[list[str], Path]:
    """Return the combination under `_tried` with the best last epoch on the validation split of seed 0, and its run."""
    combinations = list(trials(CONFIGS / f"{row}.yaml"))
    folders = [args.output / "cifar100_public_tried" / row / str(number) for number in range(len(combinations))]
    scores = tried(row)
    for changes, folder in zip(combinations, folders, strict=True):
        if " ".join(changes) not in scores:
            run(row, 0, folder, args, changes)
            scores[" ".join(changes)] = _measured(folder / "results.json")["last"]
            _write(RESULTS / row / "tried.json", scores)
    best = max(range(len(combinations)), key=lambda number: scores[" ".join(combinations[number])])
    return combinations[best], folders[best]


def tried(row: str) -> dict[str, float]:
    """Return the validation accuracy of each combination that was tried."""
    path = RESULTS / row / "tried.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def train(args: argparse.Namespace) -> None:
    """Train every run that is not committed, and write the table after each."""
    for row, seed in jobs(args):
        if committed(row, seed):
            continue
        changes, folder = tune(row, args) if row in TUNED else ([], Path())
        if row not in TUNED or seed:
            folder = args.output / "cifar100_public" / row / f"seed{seed}"
        run(row, seed, folder, args, changes)
        keep(row, seed, folder)
        publish(args.seeds)


def publish(seeds: int) -> None:
    """Write the table and the plot of the committed runs; a row without all its runs is marked."""
    lines = [
        "| | runs | val top1, last epoch (%) | val top1, best epoch (%) | minutes | CPU minutes |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in ROWS:
        runs = [_measured(path) for path in sorted((RESULTS / row).glob("seed*/results.json"))]
        missing = "" if len(runs) == seeds else f" ({seeds - len(runs)} of {seeds} runs missing)"
        lines.append(f"| {runs[0]['about'] if runs else row}{missing} | {len(runs)} | {_cells(runs)} |")
    for row in TUNED:
        if scores := tried(row):
            lines += ["", f"Values tried for {row} with seed 0, top-1 of the last epoch. All seeds use the best.", ""]
            lines += [f"- `{changes}`: {score:.2%}" for changes, score in scores.items()]
    text = "\n".join([f"# {TITLE}", "", "![plot](table.png)", "", *lines, "", TEACHER, ""])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "table.md").write_text(text, encoding="utf-8")
    report.plot(RESULTS / "table.png", plotted(), title=TITLE, measured="val top1, last epoch (%)")
    print(text)


def plotted() -> list[report.Row]:
    """Return a row of the plot for each row of the table that has runs: the last epoch on the validation split."""
    rows = []
    for row in ROWS:
        if runs := [_measured(path) for path in sorted((RESULTS / row).glob("seed*/results.json"))]:
            values = [run["last"] for run in runs]
            mean = report.mean_and_deviation(values)
            rows.append(
                report.Row(
                    name=str(runs[0]["about"]),
                    seeds=len(runs),
                    parameters=0,
                    best=mean,
                    last=mean,
                    val=mean,
                    metric="top1",
                    selection="",
                    values=tuple(values),
                    percent=True,
                )
            )
    return rows


def evaluate(folder: Path) -> None:
    """Print the top-1 of every committed student on the test split of a CIFAR-100 folder."""
    from distill_vision.data import cifar100

    inner = folder / "cifar100"  # as in `--data`
    batches = list(cifar100("test", root=inner if inner.is_dir() else folder, batch_size=500))
    for path in sorted(RESULTS.glob("*/seed*/student.safetensors")):
        student = load_weights(_resnet20(), path).float().eval()
        with torch.no_grad():
            hits = sum(int((student(batch["input"]).argmax(1) == batch["target"]).sum()) for batch in batches)
        print(f"{path.parent.relative_to(RESULTS)}: {hits / sum(len(batch['target']) for batch in batches):.2%}")


def _resnet20() -> torch.nn.Module:
    from distill_vision.models import resnet20

    return resnet20(num_classes=100)


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _measured(path: Path) -> dict[str, float]:
    results = json.loads(path.read_text(encoding="utf-8"))
    values = {key: results[key]["val"]["top1"] for key in ("best", "last")}
    return {
        **values,
        "about": results["about"],
        "minutes": results["seconds"] / 60,
        "cpu": results.get("cpu_seconds", 0) / 60,
    }


def _cells(runs: list[dict[str, float]]) -> str:
    if not runs:
        return "– | – | – | –"
    accuracies = [
        report.plus_minus(report.mean_and_deviation([run[key] for run in runs]), percent=True)
        for key in ("last", "best")
    ]
    times = [f"{sum(run[key] for run in runs) / len(runs):.1f}" for key in ("minutes", "cpu")]
    return " | ".join([*accuracies, *times])


def jobs(args: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Yield seed by seed, so that an unfinished table has whole seeds."""
    yield from ((row, seed) for seed in range(args.seeds) for row in args.rows or ROWS)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("changes", nargs="*", metavar="key=value", help="changes of every file")
    parser.add_argument("--rows", nargs="+", choices=ROWS, help="train only these rows")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("DISTILL_DATA", ".")), help="folder of datasets"
    )
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument(
        "--evaluate", type=Path, metavar="FOLDER", help="only evaluate the committed students on its test split"
    )
    parser.add_argument("--table", action="store_true", help="only write the table of the committed runs")
    args = parser.parse_intermixed_args()
    if args.evaluate:
        evaluate(args.evaluate)
        sys.exit()
    if args.table:
        publish(args.seeds)
        sys.exit()
    train(args)
