"""Metrics of text tasks, exact over any number of processes.

Each has `reset()`, `update(preds, target)` and `compute()`. Every process calls `compute`, and all get the same result.
Values are fractions, as in scikit-learn and SciPy.
"""

from ._accuracy import Accuracy as Accuracy
from ._class_scores import ClassScores as ClassScores
from ._correlation import PearsonSpearman as PearsonSpearman
from ._entities import EntityF1 as EntityF1
from ._exact_match import ExactMatch as ExactMatch
from ._f1 import F1 as F1
from ._glue import GlueMetric as GlueMetric
from ._hub import EvaluateMetric as EvaluateMetric
from ._hub import EvaluateModule as EvaluateModule
from ._lm_eval import LMEval as LMEval
from ._matthews import MatthewsCorrelation as MatthewsCorrelation
from ._multi_label import MultiLabelF1 as MultiLabelF1
from ._perplexity import Perplexity as Perplexity
from ._similarity import SimilarityCorrelation as SimilarityCorrelation
from ._squad import SquadMetric as SquadMetric
from ._squad import answer_f1 as answer_f1
from ._squad import normalised_answer as normalised_answer
from ._token_agreement import TokenAgreement as TokenAgreement
