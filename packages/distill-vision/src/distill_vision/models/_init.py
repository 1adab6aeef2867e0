"""Initialisation of the CIFAR models."""

from __future__ import annotations

from typing import Literal

from torch import nn


def init_kaiming(model: nn.Module, mode: Literal["fan_in", "fan_out"] = "fan_out") -> None:
    """Initialise convolutions with Kaiming's normal distribution; other modules keep torch's defaults.

    Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun. "Delving Deep into Rectifiers." ICCV 2015.
    https://arxiv.org/abs/1502.01852
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
