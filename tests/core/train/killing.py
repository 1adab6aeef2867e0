"""A callback that ends a run after a step, as a kill does."""

from __future__ import annotations

from distill_core.train import Callback


class KillError(Exception):
    pass


class KillAt(Callback):
    """Raises after a step, before anything is saved of it."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, run):
        if run.state.step == self.step:
            raise KillError
