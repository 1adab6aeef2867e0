"""Benchmark of detection on drawn shapes: a teacher, the student alone, and methods of distillation, five seeds each.

Named before the runs: PKD, MGD and CrossKD are to be above no teacher by more than two standard errors.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from teacher_and_students import main  # noqa: E402

ROWS = (
    "no_teacher", "cwd", "pkd", "fgd", "mgd", "crosskd", "ld", "pkd_unlabelled", "no_teacher_separable", "pkd_separable",
)  # fmt: skip

if __name__ == "__main__":
    main(HERE, __doc__, rows=ROWS, metric="coco.AP50", chance=0.0)
