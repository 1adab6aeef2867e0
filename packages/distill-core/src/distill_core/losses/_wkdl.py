"""Wasserstein logit distillation (WKD-L): transport probability at a cost that reflects class similarity.

    P = argmin over plans with margins p̂(s), p̂(t) of Σ P_ij · c_ij + ε · Σ P_ij · log P_ij,   by n Sinkhorn steps
    L = mean over samples of [ −p_y(t) · log p_y(s) + γ · Σ P_ij · c_ij ]

p̂ is the softmax of z/τ over the non-target classes, c a matrix of costs between classes, computed once from the
teacher: `cka_cost` of its features, as in the paper, or `cosine_cost` of its classifier's weights. The Sinkhorn steps
run in the log domain, with one matrix for all samples where the authors' code builds one per sample, and the gradient
flows through them. The code adds 1e-8 to costs and denominators, which is omitted here. The distance is blurred by ε,
so it is not 0 at equality.

Use: image classifiers; costs between classes say which confusions are small.
Taps: the logits, `student` and `teacher`, and `batch.target`.

Paper: Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation
Authors: Jiaming Lv, Haoyuan Yang, Peihua Li
Venue: NeurIPS
Year: 2024
Link: https://arxiv.org/abs/2412.08139
"""

from __future__ import annotations

import math
from typing import ClassVar, Protocol, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import (
    at_least_float32,
    filled,
    nothing_left,
    refuse_infinite,
    require_class_logits,
    require_same_shape,
    within,
    without_autocast,
)
from ..ranges import NonNegativeFloat, PositiveFloat, PositiveInt, checked
from ..registry import register
from ._nkd import soft_target

STEEPEST = 80.0
"""The greatest cost over ε: e^−80 is the least that float32 tells from 0 with all its digits, with room to add up."""


def cosine_cost(weight: Tensor, sharpening: float = 0.0) -> Tensor:
    """Return 1 − the cosine between the rows of a classifier's weight, from 0 to 2.

    Args:
        weight: (classes, features).
        sharpening: κ > 0 replaces a cost c by 1 − exp(−κ · c), as in all configurations of the authors. 0 keeps c.

    Returns:
        (classes, classes).
    """
    unit = F.normalize(at_least_float32(weight.detach()), dim=1)
    return _sharpened((1 - unit @ unit.mT).clamp(min=0), sharpening)


def cka_cost(features: Tensor, sharpening: float = 0.0) -> Tensor:
    """Return 1 − the linear centred kernel alignment of the classes' features, from 0 to 1.

        cost = 1 − ‖ YᵀX ‖² / ( ‖ XᵀX ‖ · ‖ YᵀY ‖ ),   X, Y the features of two classes, less their means over samples

    The norms are Frobenius norms. YᵀX pairs the n-th samples of two classes, as in the authors' code, so the cost
    depends on the order of the samples in each class.

    Args:
        features: (classes, samples, channels), with equal numbers of samples, two or more.
        sharpening: κ, see `cosine_cost`.

    Returns:
        (classes, classes).
    """
    features = at_least_float32(features.detach())
    centred = features - features.mean(1, keepdim=True)
    gram = centred @ centred.mT  # (classes, samples, samples): the products of two are the squared norm of YᵀX
    unit = F.normalize(gram.flatten(1), dim=1)
    return _sharpened((1 - unit @ unit.mT).clamp(min=0), sharpening)


def _sharpened(cost: Tensor, sharpening: float) -> Tensor:
    within("sharpening", sharpening)
    return -torch.expm1(-sharpening * cost) if sharpening else cost


def transport_cost(log_p: Tensor, log_q: Tensor, cost: Tensor, epsilon: float, steps: int) -> Tensor:
    """Return Σ P_ij · c_ij of each sample after `steps` log-domain Sinkhorn steps.

    Args:
        log_p: (batch, classes), log-probabilities of the first marginal; −∞ is 0.
        log_q: The second marginal.
        cost: (classes, classes).
        epsilon: ε > 0.
        steps: Number of steps.

    Returns:
        (batch,).
    """
    kernel = torch.exp(-cost / epsilon)
    log_u = torch.where(log_p.detach().isneginf(), log_p.detach(), -math.log(log_p.shape[1]))
    log_v = log_q
    for _ in range(steps):
        log_v = log_q - _log_product(log_u, kernel)
        log_u = log_p - _log_product(log_v, kernel.mT)
    greatest = log_v.detach().amax(1, keepdim=True)
    moved = _product(torch.exp(log_v - greatest), (kernel * cost).mT)
    return (torch.exp(log_u + greatest) * moved).sum(1)


@final
@register
class WKDLLoss(nn.Module):
    """Wasserstein logit distillation (Lv et al. 2024).

    Args:
        cost: c ≥ 0, (classes, classes).
        gamma: γ, weight of the distance; 30 in the paper for ResNet-18 on ImageNet.
        temperature: τ > 0.
        epsilon: ε > 0, at least the greatest cost / 80.
        steps: Number of Sinkhorn steps, ≥ 1.

    >>> import torch
    >>> loss = WKDLLoss(cosine_cost(torch.eye(3)))
    >>> loss(torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]]), target=torch.tensor([0]))
    tensor(0.3533)
    """

    reduction_scope: ClassVar[str] = "sample"
    cost: Tensor

    @checked
    def __init__(
        self,
        cost: Tensor,
        gamma: NonNegativeFloat = 30.0,
        temperature: PositiveFloat = 2.0,
        epsilon: PositiveFloat = 0.05,
        steps: PositiveInt = 10,
    ) -> None:
        super().__init__()
        self.gamma, self.temperature = gamma, temperature
        self.epsilon, self.steps = epsilon, steps
        _require_costs(cost, epsilon)
        self.register_buffer("cost", at_least_float32(cost.detach()).clone())

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """Return the scalar loss of logits (batch, classes) and class indices (batch,)."""
        require_class_logits(student, target)
        require_same_shape(student, teacher)
        ours, theirs = self._others(student, target), self._others(teacher.detach(), target)
        alone = nothing_left(theirs)  # the teacher allows the target only, so nothing is transported
        ours, theirs = (F.log_softmax(filled(logits, alone, 0), dim=1) for logits in (ours, theirs))
        distance = transport_cost(ours, theirs, self.cost.to(ours.dtype), self.epsilon, self.steps)
        distance = filled(distance, None if alone is None else alone.squeeze(1), 0)
        distance = refuse_infinite(distance, student, teacher, dim=1)
        return (soft_target(student, teacher, target) + self.gamma * distance).mean()

    def _others(self, logits: Tensor, target: Tensor) -> Tensor:
        hidden = F.one_hot(target, logits.shape[1]).bool()
        return (at_least_float32(logits) / self.temperature).masked_fill(hidden, -torch.inf)


class _Saved(Protocol):
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Product(torch.autograd.Function):
    """Matrix product in full precision, backward included, under autocast: its gradients may be as large as e^80."""

    @staticmethod
    def forward(ctx: _Saved, values: Tensor, matrix: Tensor) -> Tensor:
        ctx.save_for_backward(matrix)
        with without_autocast(values):
            return values @ matrix

    @staticmethod
    def backward(ctx: _Saved, gradient: Tensor) -> tuple[Tensor, None]:
        (matrix,) = ctx.saved_tensors
        with without_autocast(gradient):
            return gradient @ matrix.mT, None


def _product(values: Tensor, matrix: Tensor) -> Tensor:
    product: Tensor = _Product.apply(values, matrix)
    return product


def _log_product(logs: Tensor, matrix: Tensor) -> Tensor:
    """Return log( e^logs @ matrix ) for a matrix of positive numbers of similar size."""
    greatest = logs.detach().amax(1, keepdim=True)
    return _product(torch.exp(logs - greatest), matrix).log() + greatest


def _require_costs(cost: Tensor, epsilon: float) -> None:
    if cost.dim() != 2 or cost.shape[0] != cost.shape[1]:
        message = f"`cost` must be (classes, classes), got {tuple(cost.shape)}"
        raise ValueError(message)
    if cost.is_meta:
        return
    if not cost.min() >= 0:
        message = "`cost` must be ≥ 0"
        raise ValueError(message)
    if cost.max() > STEEPEST * epsilon:
        message = f"the greatest cost, {cost.max():g}, must be at most {STEEPEST:g} times `epsilon`, {epsilon:g}: raise it, or scale the costs"
        raise ValueError(message)
