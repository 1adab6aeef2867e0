"""A user's own images, prepared for predictions like the samples of a dataset."""

from ._boxes import BoxRecords as BoxRecords
from ._boxes import ImagesWithoutBoxes as ImagesWithoutBoxes
from ._files import given_files as given_files
from ._files import stored_pixels as stored_pixels
from ._masks import MaskRecords as MaskRecords
from ._masks import NoMasks as NoMasks
