"""A first experiment for a user's own teacher and data."""

from ._write import write_experiment as write_experiment
