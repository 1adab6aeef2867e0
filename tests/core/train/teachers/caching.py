"""Settings of a cached teacher, runs to their weights, counted calls and a kill, for the tests of cached runs."""

from __future__ import annotations

from distill_core.experiment import CacheSettings
from distill_core.train import Trainer


def weights(experiment):
    Trainer(experiment).fit()
    return {name: tensor.clone() for name, tensor in experiment.models["student"].state_dict().items()}


def cached(folder, codec="float32", views=2):
    return {"teacher": CacheSettings(folder=str(folder), codec=codec, views=views)}


class Calls:
    """Counts the calls of a module."""

    def __init__(self, module):
        self.count = 0
        module.register_forward_hook(self)

    def __call__(self, *_):
        self.count += 1
