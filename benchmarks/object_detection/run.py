"""Benchmark of detection on drawn shapes: a teacher, the student alone, and methods of distillation, five seeds each.

The seeds 0 to 4 chose the methods (CWD of 0 and 1, CrossKD on the validation split of seed 10 after its weights). PKD, MGD, CWD and
CrossKD are named for the seeds 20 to 24, before any of these runs: each is to be above no teacher by more than two standard errors.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from teacher_and_students import main  # noqa: E402

ROWS = (
    "no_teacher", "cwd", "pkd", "fgd", "mgd", "crosskd", "ld", "pkd_unlabelled", "no_teacher_separable", "pkd_separable",
)  # fmt: skip

NAMED = ("no_teacher", "cwd", "pkd", "mgd", "crosskd")

if __name__ == "__main__":
    main(HERE, __doc__, rows=ROWS, named=NAMED, metric="coco.AP50", chance=0.0)
