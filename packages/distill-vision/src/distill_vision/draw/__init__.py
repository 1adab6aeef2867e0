"""Pictures of predictions beside the ground truth."""

from ._boxes import draw_boxes as draw_boxes
from ._callback import DrawPredictions as DrawPredictions
from ._classes import draw_classes as draw_classes
from ._palette import palette as palette
from ._pictures import Pictures as Pictures
