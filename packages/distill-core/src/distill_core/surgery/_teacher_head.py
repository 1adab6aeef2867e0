"""SimKD's student: its features are projected to the teacher's and passed to the teacher's classifier."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import Constant, NormalisedConv
from ._class_maps import global_pooling, linear_head

Model = TypeVar("Model", bound=nn.Module)


class FeatureProjector(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, each followed by batch norm and ReLU, from one number of channels to another.

    Args:
        in_channels: Channels of the student's feature.
        out_channels: Channels of the teacher's feature.
        factor: The hidden layers have `out_channels // factor` channels.
        size: Height and width to which a larger map is averaged before the first convolution; omit to keep all sizes.

    >>> import torch
    >>> FeatureProjector(3, 8)(torch.zeros(2, 3, 4, 4)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int = 2, size: int | None = None) -> None:
        super().__init__()
        self.size = size
        middle = max(out_channels // factor, 1)
        self.reduce = NormalisedConv(in_channels, middle)
        self.mix = NormalisedConv(middle, middle, kernel_size=3)
        self.expand = NormalisedConv(middle, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, height, width), with at most `size` rows and columns."""
        if self.size is not None and max(features.shape[2:]) > self.size:
            smaller = (min(features.shape[2], self.size), min(features.shape[3], self.size))
            features = F.adaptive_avg_pool2d(features, smaller)
        for layer in (self.reduce, self.mix, self.expand):
            features = F.relu(layer(features))
        return features


def with_teacher_head(
    student: Model,
    teacher: nn.Module,
    pool: str = "avgpool",
    head: str = "fc",
    teacher_head: str | None = None,
    factor: int = 2,
    size: int | None = None,
) -> Model:
    """Change the student in place so that it predicts with the teacher's classifier.

    The classifier is a frozen copy without parameters that is saved with the student. The projector is
    part of the student and stays in it when it is deployed. Tap its output, `student.avgpool.projector`. There
    is no way back to the original student: load its weights into a model made by this function, for
    which the teacher may have any weights.

    Args:
        student: A model whose features are pooled, flattened and passed to the classifier.
        teacher: The teacher, with its final weights.
        pool: Path of the student's pooling, an `nn.AdaptiveAvgPool2d` to one position.
        head: Path of the student's classifier, an `nn.Linear`, which is replaced.
        teacher_head: Path of the teacher's classifier, an `nn.Linear`; `head` by default.
        factor: Ratio of the teacher's channels to the projector's hidden channels.
        size: Height and width of the teacher's map. Give it where the student's map is larger: the student's is
            then averaged to this size before the projector, as in the authors' code.

    Returns:
        The student, the projector in `pool.projector`, the pooling in `pool.pool`, the teacher's classifier at `head`.

    Raises:
        WiringError: If the module does not exist or has another type.
    """
    pooling, own = global_pooling(student, pool), linear_head(student, head)
    theirs = linear_head(teacher, head if teacher_head is None else teacher_head)
    projector = FeatureProjector(own.in_features, theirs.in_features, factor, size)
    projector.to(own.weight.device, own.weight.dtype)
    student.set_submodule(pool, nn.Sequential(OrderedDict(projector=projector, pool=pooling)))
    student.set_submodule(head, Constant(theirs))
    return student.train(student.training)
