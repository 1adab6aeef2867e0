"""Benchmark of distillation with scarce labels: a good teacher, a small student alone and distilled."""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from distill_core import cli, report

HERE = Path(__file__).resolve().parent
PAIRS = {"digits": ("convnet8", "convnet64"), "fashion_mnist": ("resnet20", "wide_resnet16_2")}
ROWS = ("ce_{1}", "ce_{0}", "kd_{0}_from_{1}", "kd_unlabelled_{0}_from_{1}")


def train(seed: int, args: argparse.Namespace) -> None:
    """Train the teacher, then its students; skip finished runs and resume interrupted ones."""
    quiet = seed > 0 or not sys.stderr.isatty()  # only the first seed, which runs alone, shows progress
    for name in args.rows:
        folder, teacher = (args.output / args.dataset / row / f"seed{seed}" for row in (name, args.rows[0]))
        weights = [f"models.teacher.path={teacher / 'student.safetensors'}"] if "_from_" in name else []
        if not (folder / "results.json").exists():
            print(f"seed {seed}: {name}", flush=True)
            file, seeded = HERE / f"configs/{args.dataset}/{name}.yaml", [f"seed={seed}", *weights, *args.overrides]
            cli.run_experiment(file, seeded, output=folder, resume=True, quiet=quiet)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per process
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=sorted(PAIRS))
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="overrides for every recipe")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of the runs")
    args = parser.parse_intermixed_args()
    args.rows = [row.format(*PAIRS[args.dataset]) for row in ROWS]
    train(0, args)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(train, range(1, args.seeds), [args] * args.seeds))
    folders = [args.output / args.dataset / row / f"seed{seed}" for row in args.rows for seed in range(args.seeds)]
    report.publish(HERE / "results" / args.dataset, folders, title=f"Scarce labels: {args.dataset}")
