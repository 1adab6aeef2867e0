"""Metrics of text tasks, computed here and exactly, over several processes too.

Each has `reset()`, `update(preds, target)` and `compute()`, which every process calls and where all get the same result.
Values are fractions, as in scikit-learn and SciPy.
"""

from ._accuracy import Accuracy as Accuracy
from ._correlation import PearsonSpearman as PearsonSpearman
from ._f1 import F1 as F1
from ._glue import GlueMetric as GlueMetric
from ._matthews import MatthewsCorrelation as MatthewsCorrelation
from ._similarity import SimilarityCorrelation as SimilarityCorrelation
