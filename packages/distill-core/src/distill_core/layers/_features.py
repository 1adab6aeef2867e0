"""Small functions on features: precision, pairs of layers, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from ._layouts import require_same_layout


def at_least_float32(tensor: Tensor) -> Tensor:
    """Convert half precision to float32. Leave float32 and float64 unchanged.

    >>> at_least_float32(torch.zeros(1, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def without_autocast(tensor: Tensor) -> AbstractContextManager[None]:
    """Return a context in which matrix products keep the precision of their operands, on the device of `tensor`.

    >>> with torch.autocast("cpu", dtype=torch.bfloat16), without_autocast(torch.ones(1)):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    device = tensor.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def pairs(student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Pair up features layer by layer. A single tensor counts as a list of one.

    Raises:
        ValueError: If the lists differ in length.

    >>> [s.shape == t.shape for s, t in pairs([torch.ones(2), torch.ones(3)], [torch.ones(2), torch.ones(3)])]
    [True, True]
    """
    students = [student] if isinstance(student, Tensor) else student
    teachers = [teacher] if isinstance(teacher, Tensor) else teacher
    if len(students) != len(teachers):
        message = f"`student` has {len(students)} features and `teacher` {len(teachers)}: give one of each per pair"
        raise ValueError(message)
    return zip(students, teachers, strict=True)


def pool_to_smaller(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Pool two maps to the smaller height and width by adaptive average pooling.

    Maps of videos (batch, channels, frames, height, width) are also pooled to the smaller number of frames. Features
    without height and width, or of equal size, are returned unchanged.

    Args:
        student: (batch, channels, height, width), or a sequence or vector.
        teacher: The same, but height and width may differ.

    Raises:
        ValueError: The layouts differ, or a map is channels-last.

    >>> [tuple(f.shape) for f in pool_to_smaller(torch.zeros(1, 3, 8, 8), torch.zeros(1, 5, 4, 4))]
    [(1, 3, 4, 4), (1, 5, 4, 4)]
    """
    require_same_layout(student, teacher)
    if student.dim() not in (4, 5) or student.shape[2:] == teacher.shape[2:]:
        return student, teacher
    sizes = [min(ours, theirs) for ours, theirs in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    if len(sizes) == 2:
        size = (sizes[0], sizes[1])
        return F.adaptive_avg_pool2d(student, size), F.adaptive_avg_pool2d(teacher, size)
    volume = (sizes[0], sizes[1], sizes[2])
    return F.adaptive_avg_pool3d(student, volume), F.adaptive_avg_pool3d(teacher, volume)


def require_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Check that two tensors have the same shape.

    Raises:
        ValueError: If the shapes differ.
    """
    if student.shape != teacher.shape:
        message = f"`student` {tuple(student.shape)} and `teacher` {tuple(teacher.shape)} must have the same shape"
        raise ValueError(message)


def unit_length(features: Tensor, dim: int) -> Tensor:
    """Divide `features` by their L2 norm along `dim`. A zero vector stays zero and has gradient 0.

    >>> unit_length(torch.tensor([[3.0, 4.0], [0.0, 0.0]]), dim=1)
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    length = torch.linalg.vector_norm(features, dim=dim, keepdim=True)
    return torch.where(length > 0, features / length.clamp(min=1e-12), 0)
