"""Linear map with orthonormal columns or rows."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedParameter

from ._features import at_least_float32, without_autocast


class OrthogonalProjection(LazyModuleMixin, nn.Module):
    """Linear map W with WᵀW = 1 (or WWᵀ = 1 if the output is shorter) throughout training.

    W is the first columns of e^A, with A a skew-symmetric matrix built from the learned parameter. It is computed
    in at least float32, because a rounded W is not orthonormal.

    Args:
        in_features: Length of the features; inferred on first use if omitted.
        out_features: Length of the output; inferred on first use if omitted.

    >>> projection = OrthogonalProjection(3, 5)
    >>> features = torch.tensor([[0.0, 3.0, 4.0]])
    >>> projection(features, like=torch.zeros(1, 5)).norm().round(decimals=4)
    tensor(5., grad_fn=<RoundBackward1>)
    """

    skew: nn.Parameter | UninitializedParameter

    def __init__(self, in_features: int | None = None, out_features: int | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.skew = UninitializedParameter()
        if in_features is not None and out_features is not None:
            self._materialize(in_features, out_features)

    def matrix(self) -> Tensor:
        """Return W, (out, in)."""
        skew = at_least_float32(self.skew)
        size, columns = skew.shape
        lower = F.pad(skew.tril(-1), (0, size - columns))
        with without_autocast(skew):
            tall: Tensor = torch.linalg.matrix_exp(lower - lower.T)[:, :columns]
        return tall if self.out_features == size else tall.T

    def forward(self, features: Tensor, like: Tensor) -> Tensor:  # noqa: ARG002 - the shapes are inferred from it
        """Map `features` (…, in) to (…, out). Only the length of `like` matters."""
        matrix = self.matrix()
        with without_autocast(features):
            return F.linear(features.to(matrix.dtype), matrix)

    def initialize_parameters(self, features: Tensor, like: Tensor) -> None:
        """Create a parameter whose shape is inferred. Called by torch before the first forward."""
        self.in_features = self.in_features or features.shape[-1]
        self.out_features = self.out_features or like.shape[-1]
        if self.has_uninitialized_params():
            self._materialize(self.in_features, self.out_features)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def _materialize(self, in_features: int, out_features: int) -> None:
        shape = max(in_features, out_features), min(in_features, out_features)
        if isinstance(self.skew, UninitializedParameter):
            self.skew.materialize(shape)
        nn.init.normal_(self.skew, std=1 / math.sqrt(shape[1]))
