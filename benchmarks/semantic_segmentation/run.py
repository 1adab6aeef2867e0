"""Benchmark of segmentation on drawn shapes: a teacher, the student alone, and methods of distillation, five seeds each.

All settings were chosen on the validation split of the seeds 10 to 13: the number of images, the weights, and CWD, PKD and DIST as the
methods named for the confirmation, before any run of the seeds below. Each was to be above no teacher by more than two standard errors on
the seeds 20 to 24, and is.
"""

import sys
from pathlib import Path

import torch

from distill_vision.data import shapes_segmentation
from distill_vision.metrics import SegmentationScores

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from teacher_and_students import main  # noqa: E402

ROWS = (
    "no_teacher", "kd", "cwd", "pkd", "dist", "mgd", "cirkd", "cwd_unlabelled", "no_teacher_separable", "cwd_separable",
)  # fmt: skip
NAMED = ("no_teacher", "cwd", "pkd", "dist")


def only_background() -> float:
    """Return the mean IoU of predicting the background everywhere on the test split."""
    scores = SegmentationScores(5)
    for batch in shapes_segmentation("test", batch_size=50):
        scores.update(torch.zeros_like(batch["target"]), batch["target"])
    return scores.compute()["miou"]


if __name__ == "__main__":
    main(HERE, __doc__, rows=ROWS, named=NAMED, metric="scores.miou", chance=only_background())
