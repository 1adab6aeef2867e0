"""LR-ASPP from DeepLabv3: what does a teacher give a small segmenter? Predictions are drawn in each run's `pictures`."""

import argparse
import json
from pathlib import Path

from distill_core import cli, report

HERE = Path(__file__).resolve().parent
ROWS = (
    "ce_deeplabv3_mobilenet_v3_large",
    "ce_lraspp_mobilenet_v3_large",
    "kd_lraspp_mobilenet_v3_large_from_deeplabv3_mobilenet_v3_large",
)


def train(name: str, seed: int, args: argparse.Namespace) -> Path:
    """Train one row, unless it is done; what was interrupted goes on. All students have the same teacher."""
    folder, teacher = (args.output / args.dataset / row for row in (f"{name}/seed{seed}", f"{ROWS[0]}/seed0"))
    taught = [f"models.teacher.path={teacher / 'student.safetensors'}"] if "_from_" in name else []
    if not (folder / "results.json").exists():
        file, changes = HERE / "configs" / args.dataset / f"{name}.yaml", [f"seed={seed}", *taught, *args.changes]
        cli.run_experiment(file, changes, output=folder, resume=True)
    return folder


def learnt(folder: Path) -> str:
    """A line of the second table: how the training loss fell, and what the last epoch made of images it has seen."""
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    losses = {r["epoch"]: r["loss"] for r in records if r["split"] == "train"}  # of each epoch's last steps
    results = json.loads((folder / "results.json").read_text())
    seen, new = (results["last"][split]["scores.miou"] for split in ("fit", "test"))
    first, *_, last = losses.values()
    return f"| {results['about']} | {results['seed']} | {first:.3f} | {last:.3f} | {seen:.2f} | {new:.2f} |\n"


LEARNT = (
    "\nEach run, its last epoch:\n\n"
    "|  | seed | training loss, first epoch | last epoch | mIoU on the training images | on the test images |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: |\n"
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=sorted(path.parent.name for path in HERE.glob(f"configs/*/{ROWS[0]}.yaml")))
    parser.add_argument("changes", nargs="*", metavar="key=value", help="changes of every file")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where the runs go")
    args = parser.parse_intermixed_args()
    runs = [train(ROWS[0], 0, args)]
    runs += [train(name, seed, args) for seed in range(args.seeds) for name in ROWS[1:]]
    table = HERE / "results" / args.dataset
    report.publish(table, runs, title=f"{HERE.name.replace('_', ' ').capitalize()}: {args.dataset}")
    with table.with_suffix(".md").open("a", encoding="utf-8") as file:
        file.write(LEARNT + "".join(map(learnt, runs)))
