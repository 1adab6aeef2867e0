"""per_token: chunks change nothing, masked tokens are not read, and peak memory is small."""

from __future__ import annotations

import math
import weakref

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from distill_core.layers import kl_divergence, per_token


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return kl_divergence(torch.log_softmax(teacher, dim=1), torch.log_softmax(student, dim=1))


class Held(TorchDispatchMode):
    """The most bytes of tensors alive at once, beside those that were there before."""

    def __init__(self, *before: Tensor) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known = {tensor.untyped_storage()._cdata for tensor in before}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.add(tensor.untyped_storage())
        return result

    def add(self, storage) -> None:
        if storage._cdata in self.known:
            return
        size = storage.nbytes()
        self.known.add(storage._cdata)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.remove, storage._cdata, size)

    def remove(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


@pytest.mark.parametrize("chunk", [1, 4, 7, 100])
def test_chunks_change_neither_values_nor_gradients(chunk: int):
    student, teacher = torch.randn(2, 3, 5, 11, dtype=torch.float64)
    weights, student = torch.randn(3, 5), student.requires_grad_()
    values = per_token(divergence, student, teacher, chunk=chunk)
    plain = divergence(student.flatten(0, 1), teacher.flatten(0, 1)).view(3, 5)
    torch.testing.assert_close(values, plain)
    torch.testing.assert_close(*(torch.autograd.grad((value * weights).sum(), student)[0] for value in (values, plain)))


def test_gradient_is_that_of_finite_differences():
    student, teacher = torch.randn(2, 2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: per_token(divergence, s, teacher, chunk=4), student.requires_grad_())


def test_what_is_masked_may_be_anything():
    student, teacher = torch.randn(2, 3, 5, 11)
    mask = torch.rand(3, 5) > 0.4
    spoiled = student.masked_fill(~mask[:, :, None], math.nan).requires_grad_()
    values = per_token(divergence, spoiled, teacher, chunk=4, mask=mask)
    values.sum().backward()
    expected = per_token(divergence, student, teacher, chunk=4)
    torch.testing.assert_close(values, torch.where(mask, expected, 0))
    assert spoiled.grad.isfinite().all()
    assert not spoiled.grad[~mask].any()


def test_positions_choose_the_tokens():
    student, teacher = torch.randn(2, 3, 5, 11)
    order = torch.randperm(5).expand(3, 5)
    student.requires_grad_()
    values = per_token(divergence, student, teacher, chunk=4, positions=[order, None])
    plain = per_token(divergence, student[:, order[0]], teacher, chunk=4)
    torch.testing.assert_close(values, plain)
    gradients = [torch.autograd.grad(value.sum(), student)[0] for value in (values, plain)]
    torch.testing.assert_close(*gradients)


def test_half_precision_comes_in_float32_and_its_gradient_goes_out_as_it_was():
    student, teacher = torch.randn(2, 3, 5, 11, dtype=torch.bfloat16)
    student.requires_grad_()
    values = per_token(divergence, student, teacher, chunk=4)
    values.sum().backward()
    assert (values.dtype, student.grad.dtype) == (torch.float32, torch.bfloat16)
    torch.testing.assert_close(values, per_token(divergence, student.float(), teacher.float(), chunk=4))


def test_no_second_tensor_of_the_size_of_the_logits_is_made():
    batch, tokens, vocabulary, chunk = 4, 64, 512, 8
    whole, row = batch * tokens * vocabulary * 2, chunk * vocabulary * 4
    student, teacher = torch.randn(2, batch, tokens, vocabulary).bfloat16()
    student.requires_grad_()
    with Held(student, teacher) as forward:
        value = per_token(divergence, student[:, :-1], teacher[:, 1:], chunk=chunk).mean()
    assert forward.most < 12 * row < whole
    with Held(student, teacher) as backward:
        value.backward()
    # The gradient of the slice and, from it, that of the logits.
    assert backward.most < 2 * whole + 12 * row


def test_the_plain_way_would_make_several():
    """The measure above can fail."""
    student, teacher = torch.randn(2, 4 * 64, 512).bfloat16()
    with Held(student, teacher) as plain:
        divergence(student.float(), teacher.float())
    assert plain.most > 4 * student.numel() * 4


def test_compiled_it_is_one_graph():
    student, teacher = torch.randn(2, 3, 5, 11)
    mask = torch.rand(3, 5) > 0.4

    def values(student: Tensor) -> Tensor:
        return per_token(divergence, student, teacher, chunk=4, mask=mask)

    student.requires_grad_()
    torch.compiler.reset()
    both = [values(student), torch.compile(values, backend="aot_eager", fullgraph=True)(student)]
    torch.testing.assert_close(*both)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), student)[0] for value in both))
