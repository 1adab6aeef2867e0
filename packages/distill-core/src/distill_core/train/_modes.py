"""Train and eval mode of the models of a stage."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ._distiller import Distiller
from ._resolved_stage import ResolvedStage
from .step import Named


def set_modes(distiller: Distiller, models: Mapping[str, nn.Module], trainable: Named, stage: ResolvedStage) -> None:
    """Set train mode for modules that learn, and eval mode for frozen models and frozen modules of trained ones."""
    distiller.train()
    learning = {id(parameter) for parameter in trainable.values()}
    for model in models.values():
        if not any(id(parameter) in learning for parameter in model.parameters()):
            model.eval()
            continue
        for module in model.modules():
            own = list(module.parameters())
            if own and not any(id(parameter) in learning for parameter in own):
                module.eval()
    for name, mode in stage.modes.items():
        models[name].train(mode == "train")
