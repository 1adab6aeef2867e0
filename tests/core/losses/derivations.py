"""What the slow derivations of several methods share: probabilities by loops over Python numbers, and drawn batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

NUMBERS = st.floats(-8, 8, allow_subnormal=False)


def softmax(values: list[float], temperature: float = 1.0) -> list[float]:
    greatest = max(values)
    powers = [math.exp((value - greatest) / temperature) for value in values]
    return [power / sum(powers) for power in powers]


def kl(p: list[float], q: list[float]) -> float:
    """Σ p log(p/q), where p is above 0."""
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True) if a > 0)


def without(values: list[float], left_out: int) -> list[float]:
    return [value for number, value in enumerate(values) if number != left_out]


@st.composite
def labelled_batches(draw: st.DrawFn, samples: int = 4, classes: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the student, of the teacher, and targets: float64."""
    batch, count = draw(st.integers(1, samples)), draw(st.integers(2, classes))
    rows = st.lists(st.lists(NUMBERS, min_size=count, max_size=count), min_size=batch, max_size=batch)
    student, teacher = (torch.tensor(draw(rows), dtype=torch.float64) for _ in range(2))
    target = draw(st.lists(st.integers(0, count - 1), min_size=batch, max_size=batch))
    return student, teacher, torch.tensor(target)


def assert_continuous(value: Callable[[float], Tensor], at: float, step: float = 1e-6, tolerance: float = 1e-3) -> None:
    """The loss hardly changes when a hyper-parameter does."""
    assert value(at + step).item() == pytest.approx(value(at).item(), rel=tolerance, abs=tolerance)


def refusal(make: Callable[[], object]) -> str:
    """Return the message of the ValueError."""
    with pytest.raises(ValueError) as error:
        make()
    return str(error.value)


def sequences(batch: int) -> dict[str, Tensor]:
    """Logits of sequences and a mask that counts another number of tokens in each: what `forward` takes."""
    mask = torch.arange(4) <= torch.arange(batch)[:, None] % 4
    return {"student": 2 * torch.randn(batch, 4, 7), "teacher": 2 * torch.randn(batch, 4, 7), "mask": mask}


@st.composite
def drawn_sequences(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of the student and of the teacher (batch, tokens, vocabulary), and a mask: float64."""
    batch, tokens, vocabulary = (draw(st.integers(least, most)) for least, most in ((1, 3), (1, 3), (2, 5)))
    count = batch * tokens * vocabulary
    student, teacher = (
        torch.tensor(draw(st.lists(NUMBERS, min_size=count, max_size=count)), dtype=torch.float64) for _ in range(2)
    )
    mask = torch.tensor(draw(st.lists(st.booleans(), min_size=batch * tokens, max_size=batch * tokens)))
    shape = (batch, tokens, vocabulary)
    return student.view(shape), teacher.view(shape), mask.view(batch, tokens)


def slow_sequences(
    divergence: Callable[[list[float], list[float]], float], student: Tensor, teacher: Tensor, mask: Tensor
) -> float:
    """The mean over the tokens that count of a divergence of the teacher's and the student's probabilities."""
    values = [
        divergence(softmax(teacher[b, i].tolist()), softmax(student[b, i].tolist()))
        for b, row in enumerate(mask.tolist())
        for i, counts in enumerate(row)
        if counts
    ]
    return sum(values) / len(values) if values else 0.0
