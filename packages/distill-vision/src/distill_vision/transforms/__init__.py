"""Augmentations of batches of images; each is a pure function of the images and one seed per sample.

In YAML: `!import_partial:distill_vision.transforms.random_crop {padding: 1}`.
"""

from ._compose import Compose as Compose
from ._crop_and_flip import crop_and_flip as crop_and_flip
from ._cutout import cutout as cutout
from ._detection import detection_eval as detection_eval
from ._detection import detection_train as detection_train
from ._draw import draw_beta as draw_beta
from ._draw import draw_integers as draw_integers
from ._draw import draw_uniform as draw_uniform
from ._horizontal_flip import horizontal_flip as horizontal_flip
from ._imagenet import imagenet_eval as imagenet_eval
from ._imagenet import imagenet_train as imagenet_train
from ._mix import CutMix as CutMix
from ._mix import Mix as Mix
from ._mix import Mixup as Mixup
from ._mix import OneMix as OneMix
from ._normalize import normalize as normalize
from ._per_image import PerImage as PerImage
from ._randaugment import RandAugment as RandAugment
from ._random_crop import random_crop as random_crop
from ._rotations import rotations as rotations
from ._segmentation import denormalize as denormalize
from ._segmentation import segmentation_eval as segmentation_eval
from ._segmentation import segmentation_train as segmentation_train
