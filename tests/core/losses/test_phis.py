"""PHISLoss: what its rotation does to the channels, and the loss against the definition."""

from __future__ import annotations

import pytest
import torch

from distill_core.losses import PHISLoss, hadamard, isotropic_transform

from .cases import Case
from .derivations import refusal


def sample(count: int = 64) -> torch.Tensor:
    """Features of very different variances that depend on each other."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(count, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    return mixed * torch.logspace(-1, 1, 8) + 3


def vectors(batch: int) -> dict:
    return {"student": torch.randn(batch, 3), "teacher": torch.randn(batch, 8)}


def maps(batch: int) -> dict:
    return {"student": torch.randn(batch, 3, 4, 4), "teacher": torch.randn(batch, 8, 4, 4)}


CASES = [
    Case(name="PHISLoss", loss=lambda: PHISLoss(sample(), 3), inputs=vectors),
    Case(name="PHISLoss-maps", loss=lambda: PHISLoss(sample()), inputs=maps),
]


@pytest.mark.parametrize("size", [1, 2, 4, 8, 12, 20, 24, 48, 384, 768])
def test_hadamard_matrices_are_orthogonal_with_entries_of_one_size(size: int):
    matrix = hadamard(size)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(matrix.abs(), torch.full_like(matrix, size**-0.5))


def test_every_channel_has_mean_zero_and_variance_one():
    features = sample().double()
    mean, matrix = isotropic_transform(features)
    result = (features - mean) @ matrix.T
    torch.testing.assert_close(result.mean(0), torch.zeros(8).double())
    torch.testing.assert_close(result.var(0), torch.ones(8).double())


def test_distances_are_kept_up_to_one_factor_and_the_transform_is_inverted_by_its_transpose():
    features = sample().double()
    mean, matrix = isotropic_transform(features)
    result, variance = (features - mean) @ matrix.T, features.var(0).mean()
    torch.testing.assert_close(torch.pdist(result), torch.pdist(features) / variance.sqrt())
    torch.testing.assert_close(result @ matrix * variance + mean, features)


def test_is_the_squared_error_of_the_standardised_feature():
    loss, inputs = PHISLoss(sample(), 3), maps(2)
    mean, matrix = (x.float() for x in isotropic_transform(sample()))
    total = 0.0
    for b in range(2):
        for i in range(16):
            student, teacher = (inputs[side][b].flatten(1)[:, i] for side in ("student", "teacher"))
            ours = loss.regressor.weight @ student + loss.regressor.bias
            total += (ours - matrix @ (teacher - mean)).square().mean().item()
    assert loss(**inputs).item() == pytest.approx(total / 32, rel=1e-5)


def test_refusals():
    assert refusal(lambda: PHISLoss(torch.zeros(1, 4))) == (
        "`features` must be (samples, channels) of at least 2 samples, got (1, 4)"
    )
    assert refusal(lambda: hadamard(6)).startswith("a Hadamard matrix of size 6 is not available")
