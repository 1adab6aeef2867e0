"""Sampled reverse divergence (k1, k2, k3): estimate the reverse KL from the tokens that the student has sampled.

    d = log softmax(s)[y] − log softmax(t)[y],   y a token drawn from softmax(s)
    k1 = d,   k2 = d²/2,   k3 = e^−d − 1 + d
    L = mean over tokens of the estimator

For on-policy distillation where the teacher returns the log-probabilities of the sampled tokens only, as a server does.
k1 and k3 are unbiased for the value of KL( softmax(s) ‖ softmax(t) ), k2 is not; k2 and k3 are never negative.

The gradients are another matter. The sampled tokens are constant, and the expected gradient of k1 is 0, that of k3 the
gradient of the forward divergence. The gradient of k2 is unbiased for the reverse divergence: it is the policy gradient
with the reward −d. With `policy_gradient` the loss has the value of its estimator and the gradient of k2, the `k1+` and
`k3+` of verl. Without it, the loss has the estimator's own gradient, as the KL term of GRPO in verl and TRL.

In k3 the log-ratio −d counts as at most `max_log_ratio`, because the exponential overflows. verl also limits it from below
and k3 itself to 10; TRL limits neither. The mean is that of `token_mean`.

unverified: the golden values are of verl's statements, retyped; its file was not run.

Use: language models on answers of the student, if the teacher returns the log-probabilities of these tokens only.
Taps: `student:out.logits`, the teacher's log-probabilities, and the tokens as `target`.

Paper: Approximating KL Divergence
Authors: John Schulman
Venue: blog
Year: 2020
Link: https://joschu.net/blog/kl-approx.html
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers import at_least_float32, one_of, per_token
from ..ranges import PositiveFloat, PositiveInt, checked
from ..registry import register
from ._forward_kl import token_mean
from ._token_ce import counted_targets, next_token_ce, next_token_ce_with_gradient, require_token_targets

Estimator = Literal["k1", "k2", "k3"]


def kl_estimate(student: Tensor, teacher: Tensor, estimator: Estimator = "k3", max_log_ratio: float = 20.0) -> Tensor:
    """Return an estimate of KL( student ‖ teacher ) of each sampled token, with its own gradient.

    Args:
        student: Log-probabilities of the tokens (…).
        teacher: The same.
        estimator: `k1`, `k2` or `k3`.
        max_log_ratio: > 0, the largest log(teacher/student) in `k3`.

    Returns:
        (…).

    >>> import torch
    >>> kl_estimate(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
    tensor([0.1931])
    """
    difference = student - teacher
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return difference.square() / 2
    return (-difference).clamp(max=max_log_ratio).exp() - 1 + difference.clamp(min=-max_log_ratio)


@final
@register
class SampledReverseKLLoss(nn.Module):
    """Reverse divergence of sampled tokens (Schulman 2020).

    Args:
        estimator: `k1`, `k2` or `k3`, which defines the value.
        policy_gradient: Use the gradient of k2, unbiased for the reverse divergence, instead of the estimator's own.
        max_log_ratio: > 0, the largest log-ratio in the exponential of `k3`.
        chunk: Number of tokens per chunk; by default as many as fit in the processor's cache.

    >>> import torch
    >>> student, teacher = torch.zeros(1, 1, 4), torch.tensor([[0.5]]).log()
    >>> SampledReverseKLLoss()(student, teacher, target=torch.tensor([[2]]))
    tensor(0.3069)
    """

    reduction_scope: ClassVar[str] = "token"

    @checked
    def __init__(
        self,
        estimator: Estimator = "k3",
        *,
        policy_gradient: bool = True,
        max_log_ratio: PositiveFloat = 20.0,
        chunk: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        self.estimator = one_of("estimator", estimator, Estimator)
        self.policy_gradient, self.max_log_ratio, self.chunk = policy_gradient, max_log_ratio, chunk

    def forward(self, student: Tensor, teacher: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the scalar loss.

        Args:
            student: Logits (batch, tokens, vocabulary).
            teacher: Log-probabilities of the sampled tokens (batch, tokens), or logits of the student's shape.
            target: The sampled tokens (batch, tokens), aligned with the logits; −100 for tokens that do not count.
            mask: (batch, tokens), 0 for further tokens that do not count.

        Raises:
            ValueError: If the shapes do not match.
            DataError: If a counted token is not in the vocabulary.
        """
        counted = require_token_targets(student, target, mask)
        if teacher.shape not in (student.shape, target.shape):
            message = f"`teacher` must be log-probabilities {tuple(target.shape)} or logits {tuple(student.shape)}, got {tuple(teacher.shape)}"
            raise ValueError(message)
        target = target.masked_fill(~counted, 0)
        closed = next_token_ce_with_gradient
        ours = -per_token(next_token_ce, student, target, chunk=self.chunk, mask=counted, with_gradient=closed)
        if teacher.dim() == 3:
            theirs = -per_token(_cross_entropy, teacher.detach(), target, chunk=self.chunk, mask=counted)
        else:
            theirs = at_least_float32(teacher.detach()).masked_fill(~counted, 0)
        values = kl_estimate(ours, theirs, self.estimator, self.max_log_ratio)
        if self.policy_gradient and self.estimator != "k2":
            surrogate = kl_estimate(ours, theirs, "k2")
            values = values.detach() + surrogate - surrogate.detach()
        return token_mean(values, counted)

    @staticmethod
    def count(target: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the number of counted tokens."""
        return counted_targets(target, mask).sum()


def _cross_entropy(teacher: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of each token; infinite where the teacher rules it out, as the divergence is."""
    return F.cross_entropy(teacher, target, reduction="none")
