"""Divergences in the log domain, and functions of the non-target classes.

Where both log-probabilities are −∞, the term is 0 and no gradient is NaN: see `_ruled_out`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ._features import at_least_float32
from ._ruled_out import can_look, filled, nothing_left, refuse_infinite, refuse_infinite_target, ruled_out

LEAST = -1e30
"""A logarithm of a probability of 0 that can be calculated with."""


def kl_divergence(log_p: Tensor, log_q: Tensor, dim: int = -1) -> Tensor:
    """Return KL( p ‖ q ) of log-probabilities, summed over `dim`. Entries with p = 0 add 0.

    Args:
        log_p: Log-probabilities; −∞ is probability 0.
        log_q: The same.
        dim: The dimension of the classes.

    >>> log_p = torch.tensor([0.5, 0.5, 0.0]).log()
    >>> kl_divergence(log_p, torch.tensor([0.25, 0.75, 0.0]).log())
    tensor(0.1438)
    """
    p = log_p.exp()
    plain = _if_finite((p * (log_p - log_q)).sum(dim)) if can_look(p) else None
    return (p * (log_p - log_q).masked_fill_(p == 0, 0)).sum(dim) if plain is None else plain


def softmax_divergence(
    student: Tensor, teacher: Tensor, temperature: float = 1.0, dim: int = -1, *, reverse: bool = False
) -> Tensor:
    """Return KL( softmax(teacher/τ) ‖ softmax(student/τ) ) over `dim`.

    Args:
        student: Logits, converted to at least float32.
        teacher: Logits of the same shape.
        temperature: τ > 0.
        dim: The dimension of the classes.
        reverse: KL( softmax(student/τ) ‖ softmax(teacher/τ) ) instead.

    Raises:
        DataError: If the value is infinite, see `refuse_infinite`.

    >>> softmax_divergence(torch.tensor([0.0, 0.0, -torch.inf]), torch.tensor([0.0, 2.0, -torch.inf]))
    tensor(0.3278)
    """
    logits = (at_least_float32(teacher), at_least_float32(student))
    if temperature != 1:
        logits = (logits[0] / temperature, logits[1] / temperature)
    log_p, log_q = F.log_softmax(logits[0], dim), F.log_softmax(logits[1], dim)
    if reverse:
        log_p, log_q = log_q, log_p
    plain = _if_finite((log_p.exp() * (log_p - log_q)).sum(dim)) if can_look(log_p) else None
    if plain is not None:
        return plain
    return refuse_infinite(kl_divergence(log_p, log_q, dim), student, teacher, dim, reverse=reverse)


def _if_finite(values: Tensor) -> Tensor | None:
    """Return the values, or None if one is not finite and classes must be hidden."""
    return values if math.isfinite(values.detach().sum().item()) else None


def cross_entropy(p: Tensor, log_q: Tensor, dim: int = -1) -> Tensor:
    """Return −Σ p · log q over `dim`. Entries with p = 0 add 0.

    Args:
        p: Probabilities or other weights.
        log_q: Log-probabilities; −∞ is probability 0.
        dim: The dimension of the classes.

    >>> cross_entropy(torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.0]).log())
    tensor(0.6931)
    """
    plain = _if_finite(-(p * log_q).sum(dim)) if can_look(p) else None
    return -(p * log_q.masked_fill(p == 0, 0)).sum(dim) if plain is None else plain


def log_mixture(log_p: Tensor, log_q: Tensor, weight: float | Tensor) -> Tensor:
    """Return log( λ · p + (1 − λ) · q ), with a gradient of 0 where both are 0.

    Args:
        log_p: Log-probabilities; −∞ is probability 0.
        log_q: The same.
        weight: λ, 0 < λ < 1; a tensor that broadcasts with the logarithms for several.

    Returns:
        Finite numbers: about −1e30 where both are 0.

    >>> log_mixture(torch.tensor([1.0, 0.0, 0.0]).log(), torch.tensor([0.0, 1.0, 0.0]).log(), 0.25)[:2].exp()
    tensor([0.2500, 0.7500])
    """
    if isinstance(weight, Tensor):
        return torch.logaddexp(finite(log_p) + weight.log(), finite(log_q) + torch.log1p(-weight))
    return torch.logaddexp(finite(log_p) + math.log(weight), finite(log_q) + math.log1p(-weight))


def finite(logs: Tensor) -> Tensor:
    """Replace −∞ by a finite number that is also 0 after a softmax and has gradient 0.

    >>> finite(torch.tensor([1.0, -torch.inf])).softmax(0)
    tensor([1., 0.])
    """
    return logs if ruled_out(logs) is None else logs.clamp(min=LEAST)


def other_classes(logits: Tensor, target: Tensor) -> Tensor:
    """Return the logits of the non-target classes, without masks or huge negative numbers.

    Args:
        logits: (batch, classes).
        target: (batch,), class indices.

    Returns:
        (batch, classes − 1), in the order of the classes.

    >>> other_classes(torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), torch.tensor([0, 1]))
    tensor([[2., 3.],
            [4., 6.]])
    """
    numbers = torch.arange(logits.shape[1] - 1, device=logits.device)
    return logits.gather(1, numbers + (numbers >= target[:, None]))


def target_or_not(logits: Tensor, target: Tensor) -> Tensor:
    """Return log-probabilities of the target and of all other classes together, exact for tiny values.

    Args:
        logits: (batch, classes).
        target: (batch,), class indices.

    Returns:
        (batch, 2).

    >>> target_or_not(torch.tensor([[0.0, 0.0, 0.0, 0.0]]), torch.tensor([2])).exp()
    tensor([[0.2500, 0.7500]])
    """
    others = other_classes(logits, target)
    alone = nothing_left(others)
    rest = filled(filled(others, alone, 0).logsumexp(1, keepdim=True), alone, -torch.inf)
    return F.log_softmax(torch.cat([logits.gather(1, target[:, None]), rest], dim=1), dim=1)


def other_log_probabilities(student: Tensor, teacher: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return log-probabilities renormalised over the non-target classes, for student and teacher.

    Where the teacher's other classes are all −∞, its probabilities are 0.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        target: (batch,), class indices.

    Returns:
        Two tensors (batch, classes − 1), the student's and the teacher's.
    """
    ours, theirs = other_classes(student, target), other_classes(teacher, target)
    alone = nothing_left(theirs)
    ours, theirs = (F.log_softmax(filled(logits, alone, 0), dim=1) for logits in (ours, theirs))
    return ours, filled(theirs, alone, -torch.inf)


def smooth_cross_entropy(logits: Tensor, target: Tensor, smoothing: float) -> Tensor:
    """Return the label-smoothed cross-entropy of each sample. Classes at −∞ get no label mass.

    Args:
        logits: (batch, classes).
        target: (batch,), class indices; or (batch, classes), probabilities.
        smoothing: Label mass spread over all classes, from 0 to 1.

    >>> smooth_cross_entropy(torch.tensor([[0.0, 0.0, -torch.inf]]), torch.tensor([0]), 0.1)
    tensor([0.6931])
    """
    hidden = ruled_out(logits)
    if hidden is None:
        return F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
    log_q = F.log_softmax(logits, dim=1)
    uniform = (~hidden).to(log_q.dtype) / (~hidden).sum(1, keepdim=True)
    if target.dim() == 1:
        labels = F.nll_loss(log_q, target, reduction="none")
    else:
        labels = cross_entropy(target, log_q)
        mass, index = (target * hidden).max(dim=1)
        target = index.masked_fill(mass == 0, -1)
    values = (1 - smoothing) * labels + smoothing * cross_entropy(uniform, log_q)
    return refuse_infinite_target(values, logits, target)
