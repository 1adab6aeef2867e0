"""Drawn images of polygons with boxes, masks and keypoints.

`python -m distill_vision shapes FOLDER` writes them as files in COCO's layout.
"""

from ._coco import write_coco as write_coco
from ._command import command as command
from ._detection import shapes_detection as shapes_detection
from ._polygons import KINDS as KINDS
from ._polygons import NUM_CORNERS as NUM_CORNERS
from ._segmentation import shapes_segmentation as shapes_segmentation
