"""People's own data: folders and files in common formats, wherever they are."""

from ._coco_json import coco_json as coco_json
from ._huggingface import huggingface_images as huggingface_images
from ._image_table import image_table as image_table
from ._image_table import unlabelled_images as unlabelled_images
from ._mask_folder import mask_folder as mask_folder
from ._tar_shards import tar_shards as tar_shards
from ._voc_detection import voc_detection as voc_detection
from ._yolo import yolo_detection as yolo_detection
from ._yolo_yaml import yolo_yaml as yolo_yaml
