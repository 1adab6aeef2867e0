"""People's own data: folders and files in common formats, wherever they are."""

from ._coco_json import coco_json as coco_json
from ._voc_detection import voc_detection as voc_detection
from ._yolo import yolo_detection as yolo_detection
