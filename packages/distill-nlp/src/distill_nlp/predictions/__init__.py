"""Prediction files for test splits without labels."""

from ._glue import LEADERBOARD as LEADERBOARD
from ._glue import WriteGluePredictions as WriteGluePredictions
from ._glue import write_glue_predictions as write_glue_predictions
