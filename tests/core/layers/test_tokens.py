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
    assert whole / 2 < forward.most < whole + 12 * row  # the gradient of the slice
    with Held(student, teacher) as backward:
        value.backward()
    assert backward.most < 2 * whole + row  # and that of the logits, made from it


def test_without_a_gradient_nothing_of_the_size_of_the_logits_is_made():
    student, teacher = torch.randn(2, 4, 64, 512)
    student.requires_grad_()
    for context in (torch.no_grad, torch.inference_mode):
        with context(), Held(student, teacher) as held:
            per_token(divergence, student, teacher, chunk=8)
        assert held.most < 12 * 8 * 512 * 4 < student.numel() * 4


def counted_rows(student: Tensor, teacher: Tensor, **options) -> list[int]:
    sizes = []

    def function(ours: Tensor, theirs: Tensor) -> Tensor:
        sizes.append(len(ours))
        return divergence(ours, theirs)

    per_token(function, student, teacher, **options).sum().backward()
    return sizes


def test_a_row_is_computed_once_and_only_if_it_counts():
    student, teacher = torch.randn(2, 3, 5, 11)
    student.requires_grad_()
    mask = torch.rand(3, 5) > 0.4
    assert sum(counted_rows(student, teacher)) == 15
    assert sum(counted_rows(student, teacher, mask=mask, chunk=2)) == mask.sum()
    assert max(counted_rows(student, teacher, mask=mask, chunk=2)) == 2


def test_chunks_are_of_so_many_bytes_by_default():
    student, teacher = torch.randn(2, 1, 64, 1 << 17, dtype=torch.bfloat16)
    assert max(counted_rows(student.requires_grad_(), teacher)) == 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_the_backward_pass_may_be_repeated(dtype: torch.dtype):
    student, teacher = torch.randn(2, 3, 5, 11).to(dtype)
    values = per_token(divergence, student.requires_grad_(), teacher, chunk=4, mask=torch.rand(3, 5) > 0.4)
    first, second = (torch.autograd.grad(values.sum(), student, retain_graph=True)[0].clone() for _ in range(2))
    (scaled,) = torch.autograd.grad(2 * values.sum(), student)
    assert torch.equal(first, second)
    assert torch.equal(scaled, 2 * first)


def test_a_second_derivative_raises():
    student, teacher = torch.randn(2, 1, 2, 3)
    values = per_token(divergence, student.requires_grad_(), teacher)
    (gradient,) = torch.autograd.grad(values.square().sum(), student, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_small_probabilities_of_a_half_precision_student_are_not_lost():
    """A loss scaler multiplies the loss, so the gradient must be as precise as if it was computed after that."""
    student, teacher = torch.randn(2, 1, 2, 3).half()
    teacher[..., 2], student[..., 2] = -18.0, -19.0  # e^-18 is below the smallest number of float16
    student.requires_grad_()
    values = per_token(divergence, student, teacher)
    (gradient,) = torch.autograd.grad(65536 * values.sum(), student)
    exact = student.detach().float().requires_grad_()
    (expected,) = torch.autograd.grad(65536 * divergence(exact[0], teacher[0].float()).sum(), exact)
    assert expected[..., 2].abs().min() > 1e-4
    torch.testing.assert_close(gradient.float(), expected, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_any_layout_of_the_logits_will_do(masked: bool):
    student, teacher = torch.randn(2, 5, 3, 11, dtype=torch.float64)
    mask = torch.rand(3, 5) > 0.4 if masked else None
    plain = student.transpose(0, 1).contiguous().requires_grad_()
    expected = per_token(divergence, plain, teacher.transpose(0, 1), chunk=4, mask=mask)
    moved = student.requires_grad_()
    values = per_token(divergence, moved.transpose(0, 1), teacher.transpose(0, 1), chunk=4, mask=mask)
    torch.testing.assert_close(values, expected)
    (gradient,), (other,) = torch.autograd.grad(values.sum(), moved), torch.autograd.grad(expected.sum(), plain)
    torch.testing.assert_close(gradient.transpose(0, 1), other)


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
