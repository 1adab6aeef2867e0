"""Each loss of text models against plain loops, and the properties that they share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from distill_core.errors import WiringError
from distill_core.registry import reference
from distill_nlp import losses
from distill_nlp.losses import (
    MiniLMLoss,
    MiniLMv2Loss,
    SentenceEmbeddingLoss,
    SimilarityLoss,
    TinyBERTAttentionLoss,
    TinyBERTAttentionMapLoss,
)

from .cases import CASES, MASK, dot, mean, several, squares, unit


@pytest.fixture(params=CASES)
def case(request):
    make, student, teacher, slow, masked = CASES[request.param]
    torch.set_default_dtype(torch.float64)
    return make(), student(), teacher(), slow, {"mask": MASK} if masked else {}


def of(value, function):
    return [function(one) for one in value] if isinstance(value, list) else function(value)


def test_equals_the_slow_derivation(case):
    loss, student, teacher, slow, mask = case
    assert loss(student, teacher, **mask).item() == pytest.approx(slow(loss, student, teacher), rel=1e-9)


def test_gradients_reach_the_student_and_what_is_learnt_and_not_the_teacher(case):
    loss, student, teacher, _, mask = case
    student, teacher = (of(side, lambda one: one.detach().requires_grad_()) for side in (student, teacher))
    loss(student, teacher, **mask).backward()
    sides = [side if isinstance(side, list) else [side] for side in (student, teacher)]
    assert all(one.grad is not None and one.grad.isfinite().all() and one.grad.any() for one in sides[0])
    assert all(one.grad is None for one in sides[1])
    assert all(parameter.grad is not None for parameter in loss.parameters())


@pytest.mark.parametrize("case", [name for name in CASES if CASES[name][-1]], indirect=True)
def test_what_padding_holds_is_irrelevant(case):
    loss, student, teacher, _, mask = case
    before = loss(student, teacher, **mask)

    def spoilt(one: Tensor) -> Tensor:
        counted = MASK.bool()
        if one.dim() == 4:
            both = counted[:, None, :, None] & counted[:, None, None, :]
            return torch.where(both, one, 77.0)
        return torch.where(counted[:, :, None], one, 77.0)

    assert torch.equal(loss(of(student, spoilt), of(teacher, spoilt), **mask), before)


def test_half_precision_is_computed_in_single(case):
    loss, student, teacher, _, mask = case
    torch.set_default_dtype(torch.float32)
    half = [of(side, lambda one: one.to(torch.bfloat16)) for side in (student, teacher)]
    single = [of(side, lambda one: one.float()) for side in half]
    if list(loss.parameters()):
        loss = loss.float()
        half[0] = of(half[0], lambda one: one.float())
    torch.testing.assert_close(loss(*half, **mask), loss.float()(*single, **mask))


PROJECTING = ("TinyBERTHiddenLoss", "SentenceEmbeddingLoss")


@pytest.mark.parametrize("name", [name for name in CASES if name not in PROJECTING])
def test_zero_where_both_are_equal(name):
    make, student, *_ = CASES[name]
    same = student()
    assert make()(same, same).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_the_docstring_tells_the_source(name):
    import importlib

    module = importlib.import_module(getattr(losses, name).__module__)
    assert reference(module.__doc__).link.startswith("https://arxiv.org/abs/")
    assert getattr(losses, name).reduction_scope == (
        "sample" if name in ("PatientKDLoss", "SentenceEmbeddingLoss") else "token"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: TinyBERTAttentionLoss(2)(several(3, 5, 4), several(4, 5, 4)),
            "`student` takes alternating queries and keys, two taps per layer, got 3",
        ),
        (
            lambda: TinyBERTAttentionMapLoss()([], [torch.ones(1, 1, 2, 2)]),
            "`student` has no attentions: scaled_dot_product_attention does not return them\n"
            "  hint: create the model with attentions=True, which sets attn_implementation to 'eager'",
        ),
        (
            lambda: MiniLMLoss(2)(several(2, 5, 4), several(3, 5, 4)),
            "`student` takes three taps (queries, keys, values), got 2",
        ),
        (lambda: MiniLMv2Loss(3)(several(3, 5, 4), several(3, 5, 4)), "a width of 4 is not a multiple of 3 heads"),
    ],
)
def test_what_does_not_fit_is_said(call, message):
    with pytest.raises(WiringError) as caught:
        call()
    assert str(caught.value) == message


def test_one_width_alone_is_refused():
    with pytest.raises(ValueError, match=r"^give both `student_width` and `teacher_width`, or neither$"):
        SentenceEmbeddingLoss(student_width=4)


def test_similarity_is_regressed_as_derived_slowly():
    torch.set_default_dtype(torch.float64)
    hidden, mask = torch.randn(6, 5, 4), MASK.repeat(2, 1)
    target = torch.tensor([0.0, 2.5, 5.0])

    def embedding(row):
        counted = [i for i in range(5) if mask[row, i]]
        return [mean([hidden[row, i, c].item() for i in counted]) for c in range(4)]

    cosines = [dot(unit(embedding(2 * pair)), unit(embedding(2 * pair + 1))) for pair in range(3)]
    expected = mean(squares(cosines, [0.0, 0.5, 1.0]))
    assert SimilarityLoss()(hidden, target, mask).item() == pytest.approx(expected, rel=1e-9)


def test_scores_from_tapped_queries_and_keys_are_those_of_the_model():
    """The softmax of the scores is what the model returns as its attentions."""
    from distill_nlp.losses import attention_scores
    from distill_nlp.models import tiny_bert

    model = tiny_bert(vocab_size=20, layers=2, width=8, heads=2, attentions=True).eval()
    ids, mask = torch.randint(20, (3, 5)), MASK
    kept = {}
    for name in ("query", "key"):
        module = getattr(model.bert.encoder.layer[1].attention.self, name)
        module.register_forward_hook(lambda _m, _i, output, name=name: kept.update({name: output}))
    returned = model(input_ids=ids, attention_mask=mask).attentions[1]
    scores = attention_scores(kept["query"], kept["key"], 2).masked_fill(~mask.bool()[:, None, None], float("-inf"))
    torch.testing.assert_close(scores.softmax(-1), returned)
