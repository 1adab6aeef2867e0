"""The stand-in for a model that is not built, because a cache has all its values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from torch import nn

from ...cache import stored_keys
from ...errors import WiringError
from ...experiment import Experiment
from ...taps import Tap
from ._placement import wirings


class CachedModel(nn.Module):
    """A frozen model without weights, whose values are read from a complete cache.

    It has an empty module for each tap of the caches. Set `build_model: false` in the settings of its cache.

    Args:
        name: The model's name in the experiment.
        folder: The folder of its caches.

    Raises:
        WiringError: The folder holds no cache of the model.
    """

    def __init__(self, name: str, folder: str | Path) -> None:
        super().__init__()
        self.name = name
        keys = stored_keys(Path(folder).expanduser(), name)
        if not keys:
            message = f"'{name}' is not built, and {folder} holds no cache of it"
            raise WiringError(
                message, key=f"cache.{name}", hint="build it where the model is: distill cache build FILE"
            )
        for key in keys.values():
            for address in json.loads(key.parts["taps"]):
                self._add(Tap.parse(f"{name}{'' if not address or address.startswith(':') else '.'}{address}").path)

    def _add(self, path: str) -> None:
        module: nn.Module = self
        for part in path.split(".") if path else ():
            if part not in dict(module.named_children()):
                module.add_module(part, nn.Module())
            module = getattr(module, part)

    def forward(self, *_: Any, **__: Any) -> NoReturn:
        """Raise: the model cannot run."""
        message = f"'{self.name}' is not built and cannot run; the cache has its values for the training data alone"
        raise WiringError(message, key=f"cache.{self.name}", hint="set build_model: true")


def refuse_uses(experiment: Experiment) -> None:
    """Refuse models that are not built where their values are not known: in metrics, and without a cache.

    Raises:
        WiringError: There is one.
    """
    absent = {name for name, model in experiment.models.items() if isinstance(model, CachedModel)}
    for name in sorted(absent - experiment.cache.keys()):
        message = f"'{name}' is not built, and the experiment sets no cache for it"
        raise WiringError(message, key=f"models.{name}", hint=f"set cache.{name}")
    for wiring in wirings(experiment, ()):
        for tap in wiring.taps:
            if tap.source in absent:
                message = f"'{tap.source}' is not built, and its cache holds no values for the data of an evaluation"
                hint = f"remove the metric, or set cache.{tap.source}.build_model: true"
                raise WiringError(message, key=wiring.where, hint=hint)
