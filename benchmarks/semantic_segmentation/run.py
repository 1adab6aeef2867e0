"""Benchmark of LR-ASPP and DeepLabv3 on COCO: teacher, student alone, student distilled; each run draws into its `pictures`."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from teacher_and_students import main  # noqa: E402

if __name__ == "__main__":
    main(
        HERE,
        __doc__,
        teacher="ce_deeplabv3_mobilenet_v3_large",
        students=[
            "ce_lraspp_mobilenet_v3_large",
            "kd_lraspp_mobilenet_v3_large_from_deeplabv3_mobilenet_v3_large",
        ],
        metric="scores.miou",
        name="mIoU",
    )
