"""Predictions of a trained model for a user's own inputs."""

from ._predict import predict as predict
from ._predict import prediction_tap as prediction_tap
from ._records import class_records as class_records
from ._records import label_records as label_records
from ._records import value_records as value_records
