"""Classes of −∞ in a cache."""

from __future__ import annotations

import math

import pytest
import torch

from distill_core.cache import codec_named
from distill_core.losses import KDLoss, TopKKLLoss

LOGITS = torch.tensor([[3.0, -math.inf, 1.0, -2.0], [-math.inf, 0.5, -math.inf, 4.0]])


def through(codec: str, values: torch.Tensor):
    made = codec_named(codec)
    return made.decode(made.encode(values, torch.arange(len(values))), values.dtype)


@pytest.mark.parametrize("codec", ["float32", "float16", "bfloat16", "int8"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_dense_codecs_keep_them(codec: str, dtype: torch.dtype):
    decoded = through(codec, LOGITS.to(dtype))
    assert torch.equal(decoded.isneginf(), LOGITS.isneginf())
    torch.testing.assert_close(decoded.float(), LOGITS, rtol=0.02, atol=0.02)
    student = LOGITS.sin().masked_fill(LOGITS.isneginf(), -math.inf)
    assert KDLoss()(student, decoded.float()).isfinite()


def test_a_row_of_nothing_else_survives_int8():
    assert through("int8", torch.full((1, 3), -math.inf)).isneginf().all()


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_top_k_does_not_count_them(k: int):
    fields = through(f"topk-{k}", LOGITS)
    student = torch.zeros(2, 4).masked_fill(LOGITS.isneginf(), -math.inf).requires_grad_()
    value = TopKKLLoss()(student, fields["log_probs"], fields["index"])
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()
    assert not student.grad[LOGITS.isneginf()].any()


def test_sampling_never_draws_them():
    index = through("sampled-64", LOGITS)["index"]
    assert not LOGITS.isneginf().gather(1, index).any()
