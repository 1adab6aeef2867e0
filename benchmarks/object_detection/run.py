"""Benchmark of Faster R-CNN on COCO: teacher, student alone, student distilled; each run draws into its `pictures`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from teacher_and_students import main  # noqa: E402

if __name__ == "__main__":
    main(
        HERE,
        __doc__,
        teacher="ce_fasterrcnn_mobilenet_v3_large",
        students=[
            "ce_fasterrcnn_mobilenet_v3_small",
            "pkd_fasterrcnn_mobilenet_v3_small_from_fasterrcnn_mobilenet_v3_large",
        ],
        metric="coco.AP50",
        name="AP50",
    )
