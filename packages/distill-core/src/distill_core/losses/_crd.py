"""Contrastive representation distillation (CRD): match a sample's two embeddings against those of other samples.

    h(a, m) = e^x / ( e^x + K/N ),   x = a·m/τ  (paper)   or   x = a·m/τ − log Z  (code)
    L(a, M) = − mean over samples of [ log h(a, M₊) + sum over K negatives of log( 1 − h(a, M₋) ) ]
    L = L(student's embedding, teacher's bank) + L(teacher's embedding, student's bank)

Embeddings are linear and of norm 1. A bank keeps one for each of the N samples of the dataset: the running average with
momentum m, again of norm 1. Z, in the authors' code (HobbitLong/RepDistiller) and not in the paper, is N times the mean
of e^(a·m/τ) over the first batch, kept from then on. All published numbers have it, so `code` is the default.

Negatives are drawn uniformly from the other samples, with repetition, on the device, from torch's generator. With
`target` they are drawn from the other classes only, if the classes of all samples are known: a run sets them from its dataset
(`targets`). Otherwise a class is known once its sample was seen, and negatives known to be of the sample's own class are
excluded and the others get more weight. Several processes draw their own negatives, and all update their banks with the batches of all
processes, so the banks stay equal.

Use: classifiers with many samples, beside KD; a bank of embeddings takes memory in proportion to the dataset.
Taps: the features before the classifier, `student.fc:in`, with `batch.index`, and `batch.target` to exclude the own
class.

Paper: Contrastive Representation Distillation
Authors: Yonglong Tian, Dilip Krishnan, Phillip Isola
Venue: ICLR
Year: 2020
Link: https://arxiv.org/abs/1910.10699
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..distributed import gather_batch
from ..errors import DataError
from ..layers import UnitEmbedding, one_of, without_autocast
from ..ranges import Fraction, PositiveFloat, PositiveInt, checked
from ..registry import register

Mode = Literal["paper", "code"]
MAX_BANK = 32
"""Largest bank, as a multiple of the number of negatives, for which all similarities are computed."""


def noise_contrastive(scores: Tensor, num_samples: int, weights: Tensor | None = None) -> Tensor:
    """Return −[ log h₊ + Σ log(1 − h₋) ] per sample, with h = e^x / (e^x + K/N), in the log domain.

    Args:
        scores: (…, 1 + K) values of x, the positive first.
        num_samples: N, size of the dataset.
        weights: (…, K), weight of each negative; 1 if omitted.

    Returns:
        (…).
    """
    logits = scores - math.log((scores.shape[-1] - 1) / num_samples)
    rejected = F.logsigmoid(-logits[..., 1:])
    if weights is not None:
        rejected = rejected * weights
    return -(F.logsigmoid(logits[..., 0]) + rejected.sum(-1))


def _others(classes: Tensor) -> Tensor | None:
    """Return all samples sorted by class, and for each sample the range of its own class in that order, (3, samples).

    None if a class holds all samples, so that there are no others.
    """
    order = classes.argsort(stable=True)
    ordered = classes[order]
    first, end = torch.searchsorted(ordered, classes), torch.searchsorted(ordered, classes, right=True)
    own = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    has_class = classes >= 0
    first, count = torch.where(has_class, first, own), torch.where(has_class, end - first, 1)
    return torch.stack([order, first, count]) if int(count.max()) < len(classes) else None


@final
@register
class CRDLoss(nn.Module):
    """Contrastive representation distillation (Tian et al. 2020), embeddings and memory banks inside.

    Args:
        num_samples: N, size of the training set; every `index` is < N.
        dim: Length of the embeddings.
        num_negatives: K.
        temperature: τ.
        momentum: Fraction of the old embedding that a bank keeps.
        student_features: Length of the student's flattened feature; inferred on first use if omitted.
        teacher_features: Length of the teacher's flattened feature; inferred on first use if omitted.
        mode: `paper` or `code`, see the formulas above.

    >>> loss = CRDLoss(num_samples=100, dim=4, num_negatives=8)
    >>> loss(torch.ones(2, 6), torch.ones(2, 5), index=torch.tensor([3, 14])).shape, loss.student_bank.shape
    (torch.Size([]), torch.Size([100, 4]))
    """

    reduction_scope: ClassVar[str] = "sample"
    decomposes: ClassVar[bool] = False
    student_bank: Tensor
    teacher_bank: Tensor
    classes: Tensor
    log_z: Tensor
    others: Tensor | None

    @checked
    def __init__(
        self,
        num_samples: PositiveInt,
        dim: PositiveInt = 128,
        num_negatives: PositiveInt = 16384,
        temperature: PositiveFloat = 0.07,
        momentum: Fraction = 0.5,
        student_features: PositiveInt | None = None,
        teacher_features: PositiveInt | None = None,
        mode: Mode = "code",
    ) -> None:
        super().__init__()
        self.num_samples, self.num_negatives = num_samples, num_negatives
        self.temperature, self.momentum = temperature, momentum
        self.mode = one_of("mode", mode, Mode)
        self.student_embedding = UnitEmbedding(dim, student_features)
        self.teacher_embedding = UnitEmbedding(dim, teacher_features)
        bound = math.sqrt(3 / dim)
        self.register_buffer("student_bank", torch.empty(num_samples, dim).uniform_(-bound, bound))
        self.register_buffer("teacher_bank", torch.empty(num_samples, dim).uniform_(-bound, bound))
        self.register_buffer("classes", torch.full((num_samples,), -1))
        self.register_buffer("log_z", torch.full((2,), math.nan))
        self.register_buffer("others", None, persistent=False)

    def forward(self, student: Tensor, teacher: Tensor, index: Tensor, target: Tensor | None = None) -> Tensor:
        """Return the scalar loss. In training mode the banks are updated afterwards.

        Args:
            student: Features (batch, …).
            teacher: Features (batch, …).
            index: (batch,), index of each sample in the dataset.
            target: (batch,), class indices; excludes negatives of a sample's own class. A sample whose target is below
                0, such as -100, has no class and excludes nothing.
        """
        student, teacher = self.student_embedding(student), self.teacher_embedding(teacher.detach())
        negatives = self._draw(index, target)
        rows = torch.cat([index[:, None], negatives], dim=1)
        scores = torch.stack(
            [self._scores(student, self.teacher_bank, rows), self._scores(teacher, self.student_bank, rows)]
        )
        weights = None
        if target is not None and self.others is None:
            others = ((self.classes[negatives] != target[:, None]) | (target[:, None] < 0)).to(scores.dtype)
            weights = others * (self.num_negatives / others.sum(1, keepdim=True).clamp(min=1))
        estimate = torch.logsumexp(scores.detach(), dim=2).mT
        if self.training:
            estimate = self._remember(student, teacher, estimate, index, target)
        if self.mode == "code":
            scores = scores - self._constants(estimate).to(scores.dtype)[:, None, None]
        return noise_contrastive(scores, self.num_samples, weights).mean(1).sum()

    @torch.no_grad()
    def set_labels(self, labels: Tensor) -> None:
        """Set the class of each sample, so that negatives are drawn from other classes only.

        Args:
            labels: (samples,), class indices; a sample below 0 has no class and excludes only itself.

        Raises:
            DataError: There are more than `num_samples`.
        """
        if len(labels) > self.num_samples:
            message = f"CRDLoss: num_samples is {self.num_samples}, but the dataset has {len(labels)} samples"
            raise DataError(message, hint="set num_samples to the size of the training set")
        self.classes[: len(labels)] = labels.to(self.classes)
        if len(labels) == self.num_samples:
            self.others = _others(self.classes)

    def _draw(self, index: Tensor, target: Tensor | None = None) -> Tensor:
        """Draw K sample indices per sample, (batch, K), uniformly among all other samples or those of other classes."""
        size = (index.shape[0], self.num_negatives)
        if target is None or self.others is None:
            drawn = torch.randint(self.num_samples - 1, size, device=index.device)
            return drawn + (drawn >= index[:, None])
        order, (first, count) = self.others[0], self.others[1:, index][..., None]
        drawn = (torch.rand(size, device=index.device, dtype=torch.float64) * (self.num_samples - count)).long()
        return order[drawn + (drawn >= first) * count]

    def _scores(self, anchor: Tensor, bank: Tensor, rows: Tensor) -> Tensor:
        """Return similarities over τ, (batch, 1 + K), in the anchor's precision even under autocast.

        On a CPU, a product with a bank that is not much larger than K is cheaper than a copy of each negative's row.
        """
        with without_autocast(anchor):
            if anchor.device.type == "cpu" and self.num_samples <= MAX_BANK * self.num_negatives:
                kept = bank.to(anchor.dtype, copy=True)  # the bank changes before the backward
                return (anchor @ kept.T).gather(1, rows) / self.temperature
            return torch.bmm(bank[rows].to(anchor.dtype), anchor[:, :, None]).squeeze(2) / self.temperature

    def _constants(self, estimate: Tensor) -> Tensor:
        """Return log Z of both directions. The first batch estimates it; training mode stores the estimate."""
        count = estimate.shape[0] * (1 + self.num_negatives)
        fresh = torch.logsumexp(estimate, dim=0) + math.log(self.num_samples / count)
        log_z = torch.where(self.log_z.isnan(), fresh.to(self.log_z.dtype), self.log_z)
        if self.training:
            self.log_z.copy_(log_z)
        return log_z

    @torch.no_grad()
    def _remember(
        self, student: Tensor, teacher: Tensor, estimate: Tensor, index: Tensor, target: Tensor | None
    ) -> Tensor:
        """Update the banks with the embeddings of all processes, and return the estimates of all processes.

        If a sample occurs twice in a batch, its last embedding is stored.
        """
        sizes = [student.shape[1], teacher.shape[1], 2]
        student, teacher, estimate = gather_batch(torch.cat([student, teacher, estimate], dim=1)).split(sizes, dim=1)  # type: ignore[no-untyped-call]
        index = gather_batch(index)
        order = torch.arange(1, len(index) + 1, device=index.device)
        last = ((index[:, None] == index) * order).argmax(1)
        for bank, new in ((self.student_bank, student), (self.teacher_bank, teacher)):
            moved = self.momentum * bank[index] + (1 - self.momentum) * new[last].to(bank.dtype)
            bank.index_copy_(0, index, F.normalize(moved, dim=1))
        if target is not None:
            self.classes.index_copy_(0, index, gather_batch(target)[last])
        return estimate
