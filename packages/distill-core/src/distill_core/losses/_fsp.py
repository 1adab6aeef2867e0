"""Flow of solution procedure (FSP): match the Gram matrix between the channels of two layers.

    G(f, g) = sum over positions of f gᵀ / (height · width)             one row per channel of f, one column per channel of g
    paper:  L = sum over flows of mean over samples of ‖G(s) − G(t)‖²_F
    code:   L = sum over flows of mean over samples and entries of (G(s) − G(t))²
    torchdistill:  L = sum over flows of mean over samples of the sum over the columns of ‖G(s)ⱼ − G(t)ⱼ‖₂

`code` is what HobbitLong/RepDistiller computes; weights of 50 are meant for it. Maps of a flow that differ in height or
width are brought to the smaller size by average pooling (`code`) or max pooling (the others). Student and teacher must
have the same numbers of channels at both ends of a flow. The paper trains with this loss first and with labels alone
afterwards: two stages.

Use: a first stage for networks whose stages have the same numbers of channels.
Taps: lists of the maps at the start and the end of each flow: `[student.layer1, student.layer2]`.

Paper: A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer Learning
Authors: Junho Yim, Donggyu Joo, Jihoon Bae, Junmo Kim
Venue: CVPR
Year: 2017
Link: https://openaccess.thecvf.com/content_cvpr_2017/html/Yim_A_Gift_From_CVPR_2017_paper.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, one_of, require_same_layout, require_same_shape, without_autocast
from ..registry import register

Mode = Literal["paper", "code", "torchdistill"]


def fsp_matrix(first: Tensor, second: Tensor, mode: Mode = "paper") -> Tensor:
    """Return the flow matrix between two maps, (batch, channels of first, channels of second).

    Args:
        first: (batch, channels, height, width).
        second: The same, but channels, height and width may differ.
        mode: Average pooling (`code`) or max pooling (the others) to the smaller size.
    """
    first, second = at_least_float32(first), at_least_float32(second)
    if first.shape[2:] != second.shape[2:]:
        size = (min(first.shape[2], second.shape[2]), min(first.shape[3], second.shape[3]))
        pool = F.adaptive_avg_pool2d if mode == "code" else F.adaptive_max_pool2d
        first, second = pool(first, size), pool(second, size)
    with without_autocast(first):
        return torch.bmm(first.flatten(2), second.flatten(2).mT) / (first.shape[2] * first.shape[3])


@final
@register
class FSPLoss(nn.Module):
    """Flow of solution procedure (Yim et al. 2017).

    Args:
        mode: `paper`, `code` or `torchdistill`, see the formulas above.

    >>> import torch
    >>> student, teacher = torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    >>> FSPLoss()([student, student], [teacher, teacher]), FSPLoss(mode="code")([student, student], [teacher, teacher])
    (tensor(4.), tensor(1.))
    """

    reduction_scope: ClassVar[str] = "sample"

    def __init__(self, mode: Mode = "paper") -> None:
        super().__init__()
        self.mode = one_of("mode", mode, Mode)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Return the scalar loss of lists of maps (batch, channels, height, width): start, end, start, end, …."""
        losses = []
        for ours, theirs in zip(_flows("student", student), _flows("teacher", teacher), strict=True):
            for student_map, teacher_map in zip(ours, theirs, strict=True):
                require_same_layout(student_map, teacher_map)
            flow, goal = fsp_matrix(*ours, self.mode), fsp_matrix(*theirs, self.mode).detach()
            require_same_shape(flow, goal)
            losses.append(_distance(flow - goal, self.mode))
        return torch.stack(losses).sum()


def _distance(difference: Tensor, mode: Mode) -> Tensor:
    if mode == "torchdistill":
        norms: Tensor = torch.linalg.vector_norm(difference, dim=1)
        return norms.sum() / len(difference)
    squares = difference.square()
    return squares.mean() if mode == "code" else squares.sum() / len(squares)


def _flows(name: str, features: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    if len(features) % 2:
        message = f"`{name}` has {len(features)} features: give two per flow, its start and its end"
        raise ValueError(message)
    return zip(features[::2], features[1::2], strict=True)
