"""Multi-level logit distillation (MLKD): match probabilities and their relations between samples and classes.

    p = softmax(z/τ) of the batch, B × C
    L_τ = τ² · mean over samples of KL( p_t ‖ p_s ) + ‖ p_t p_tᵀ − p_s p_sᵀ ‖²/B + ‖ p_tᵀ p_t − p_sᵀ p_s ‖²/C
    paper:  L = sum over the views and over τ of L_τ
    code:   L = sum over τ of [ m · KL(weak) + KL(strong; weak for the least and the greatest τ)
                                + m · Gram of samples(weak) + m' · Gram of classes(weak) ]

`code` is what the authors' repository (Jin-Ying/Multi-Level-Logit-Distillation) computes. m is the fraction of samples
whose confidence is at most the median, m' the same of classes by their summed probability. They are meant as masks, but
multiply a scalar. The repository's numbers have it, and weight the sum by 9. Several processes gather their batches.

Use: image classifiers, with two views of each image in mode `code`.
Taps: the logits, `student` and `teacher`; lists of a weak and a strong view in mode `code`.

Paper: Multi-Level Logit Distillation
Authors: Ying Jin, Jiaqi Wang, Dahua Lin
Venue: CVPR
Year: 2023
Link: https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from ..distributed import gather_batch
from ..layers import (
    at_least_float32,
    excluded,
    filled,
    one_of,
    pairs,
    require_class_logits,
    require_same_shape,
    without_autocast,
)
from ..ranges import PositiveFloat, checked
from ..registry import register
from ._kd import kd_divergence
from ._lskd import standardise_logits

Mode = Literal["paper", "code"]


def gram_differences(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return ‖ p_t p_tᵀ − p_s p_sᵀ ‖²/B and ‖ p_tᵀ p_t − p_sᵀ p_s ‖²/C.

    Args:
        student: Logits (batch, classes).
        teacher: Logits of the same shape.
        temperature: τ > 0.
    """
    p, q = (torch.softmax(at_least_float32(logits) / temperature, dim=1) for logits in (teacher.detach(), student))
    with without_autocast(q):
        of_samples, of_classes = p @ p.mT - q @ q.mT, p.mT @ p - q.mT @ q
    hidden = hidden_classes(student, teacher)
    num_classes = q.shape[1] if hidden is None else (~hidden).sum()
    return of_samples.square().sum() / len(q), of_classes.square().sum() / num_classes


def hidden_classes(student: Tensor, teacher: Tensor) -> Tensor | None:
    """Return which classes are −∞ in all samples of both, (classes,), or None if known to be none."""
    hidden = excluded(student, teacher)
    return None if hidden is None else hidden.all(0)


def fraction_below_median(values: Tensor, hidden: Tensor | None = None) -> Tensor:
    """Return the fraction of visible values that are at most their median."""
    ordered = (
        filled(values, hidden, torch.inf).sort().values
    )  # `quantile` does not compile with dynamic shapes in torch 2.11
    if hidden is None:
        median = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
        return (values <= median).to(values.dtype).mean()
    count = (~hidden).sum()
    median = ordered.gather(0, torch.stack([(count - 1) // 2, count // 2]).clamp(min=0)).mean()
    return ((values <= median) & ~hidden).sum() / count.to(values.dtype)


@final
@register
class MLKDLoss(nn.Module):
    """Multi-level logit distillation (Jin et al. 2023).

    Args:
        temperatures: The τ, each > 0.
        mode: `paper` or `code`, see the formulas above.
        standardise: Standardise the logits in the KL terms only, as logit standardisation (LSKD) does with MLKD.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([[2.0, 0.0, -2.0]])
    >>> MLKDLoss()([student, student], [teacher, teacher])
    tensor(3.0363)
    """

    reduction_scope: ClassVar[str] = "gathered"

    @checked
    def __init__(
        self,
        temperatures: Sequence[PositiveFloat] = (2.0, 3.0, 4.0, 5.0, 6.0),
        mode: Mode = "paper",
        *,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.temperatures = list(temperatures)
        self.mode = one_of("mode", mode, Mode)
        self.standardise = standardise

    def forward(self, student: Tensor | Sequence[Tensor], teacher: Tensor | Sequence[Tensor]) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, classes) of each view: [weakly augmented, strongly augmented]; a single one is allowed in `paper`.
            teacher: The same.

        Raises:
            ValueError: If lengths or shapes differ, or `code` is not given two views.
        """
        views = []
        for ours, theirs in pairs(student, teacher):
            require_class_logits(ours)
            require_same_shape(ours, theirs)
            views.append((gather_batch(ours), gather_batch(theirs.detach())))
        if self.mode == "paper":
            return torch.stack([self._level(*view, tau) for view in views for tau in self.temperatures]).sum()
        if len(views) != 2:
            message = f"mode 'code' takes two views, [weak, strong], got {len(views)}"
            raise ValueError(message)
        return self._as_in_the_code(*views)

    def _level(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        of_samples, of_classes = gram_differences(student, teacher, temperature)
        return self._divergence(student, teacher, temperature) + of_samples + of_classes

    def _divergence(self, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
        if self.standardise:
            student, teacher = standardise_logits(student), standardise_logits(teacher)
        return kd_divergence(student, teacher, temperature).mean()

    def _as_in_the_code(self, weak: tuple[Tensor, Tensor], strong: tuple[Tensor, Tensor]) -> Tensor:
        probabilities = torch.softmax(at_least_float32(weak[1]), dim=1)
        samples = fraction_below_median(probabilities.amax(1))
        classes = fraction_below_median(probabilities.sum(0), hidden_classes(*weak))
        extremes = {min(self.temperatures), max(self.temperatures)}
        terms = []
        for temperature in self.temperatures:
            of_samples, of_classes = gram_differences(*weak, temperature)
            terms.append(samples * (self._divergence(*weak, temperature) + of_samples) + classes * of_classes)
            terms.append(self._divergence(*(weak if temperature in extremes else strong), temperature))
        return torch.stack(terms).sum()
