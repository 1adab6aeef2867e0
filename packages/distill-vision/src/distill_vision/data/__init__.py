"""Image datasets; each function returns a `distill_core.data.Loader`. Downloads need `download=True`."""

from ._cifar import cifar10 as cifar10
from ._cifar import cifar100 as cifar100
from ._coco_detection import coco_detection as coco_detection
from ._coco_segmentation import coco_segmentation as coco_segmentation
from ._digits import digits as digits
from ._example import example_of_images as example_of_images
from ._fashion_mnist import fashion_mnist as fashion_mnist
from ._image_folder import image_folder as image_folder
from ._imagenet import imagenet as imagenet
from ._in_memory import Pixels as Pixels
from ._in_memory import resident_loader as resident_loader
from ._mnist import mnist as mnist
from ._split import balanced_choice as balanced_choice
from ._split import hold_out as hold_out
from ._split import stratified_order as stratified_order
from ._voc import voc_segmentation as voc_segmentation
from .own import coco_json as coco_json
from .own import image_table as image_table
from .own import mask_folder as mask_folder
from .own import unlabelled_images as unlabelled_images
from .own import voc_detection as voc_detection
from .own import yolo_detection as yolo_detection
