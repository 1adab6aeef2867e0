"""Metrics for images: `reset()`, `update(...)`, `compute()`; exact on any number of processes.

Accuracies, IoU and AP are fractions from 0 to 1. Tables and log lines print them in percent.
"""

from ._accuracy import Accuracy as Accuracy
from ._agreement import Agreement as Agreement
from ._calibration_error import CalibrationError as CalibrationError
from ._class_scores import ClassScores as ClassScores
from ._coco import CocoAP as CocoAP
from ._coco_detections import coco_detections as coco_detections
from ._confusion import ConfusionMatrix as ConfusionMatrix
from ._data_size import DataSize as DataSize
from ._retrieval import RetrievalRecall as RetrievalRecall
from ._segmentation import SegmentationScores as SegmentationScores
from ._teacher_divergence import TeacherDivergence as TeacherDivergence
