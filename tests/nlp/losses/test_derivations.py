"""Each loss of text models against plain loops, and what is true of all of them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from distill_core.errors import WiringError
from distill_core.registry import reference
from distill_nlp import losses
from distill_nlp.losses import (
    HiddenCosineLoss,
    MiniLMLoss,
    MiniLMv2Loss,
    PatientKDLoss,
    SentenceEmbeddingLoss,
    SimilarityLoss,
    TinyBERTAttentionLoss,
    TinyBERTAttentionMapLoss,
    TinyBERTHiddenLoss,
)

MASK = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
TOKENS = [(b, i) for b in range(3) for i in range(5) if MASK[b, i]]


def dot(x, y) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def unit(x) -> list[float]:
    return [a / math.sqrt(dot(x, x)) for a in x]


def squares(x, y) -> list[float]:
    return [(a - b) ** 2 for a, b in zip(x, y, strict=True)]


def mean(values) -> float:
    return sum(values) / len(values)


def attention(query: Tensor, key: Tensor, heads: int, b: int, h: int, i: int) -> list[float]:
    """How token i of head h attends to the tokens that count."""
    size = query.shape[-1] // heads
    part = slice(h * size, (h + 1) * size)
    keys = [j for j in range(5) if MASK[b, j]]
    scores = [dot(query[b, i, part].tolist(), key[b, j, part].tolist()) / math.sqrt(size) for j in keys]
    total = sum(map(math.exp, scores))
    return [math.exp(score) / total for score in scores]


def divergence(student, teacher, heads: int) -> float:
    values = []
    for b, i in TOKENS:
        for h in range(heads):
            ours, theirs = attention(*student, heads, b, h, i), attention(*teacher, heads, b, h, i)
            values.append(sum(t * math.log(t / s) for s, t in zip(ours, theirs, strict=True)))
    return mean(values)


def slow_cosine(loss, student, teacher) -> float:
    return mean([1 - dot(unit(student[b, i].tolist()), unit(teacher[b, i].tolist())) for b, i in TOKENS])


def slow_patient(loss, student, teacher) -> float:
    return mean(
        [
            sum(
                sum(squares(unit(s[b, 0].tolist()), unit(t[b, 0].tolist())))
                for s, t in zip(student, teacher, strict=True)
            )
            for b in range(3)
        ]
    )


def slow_scores(loss, student, teacher) -> float:
    """Layers of alternating queries and keys, two heads."""
    places = [(b, h, i, j) for b, i in TOKENS for j in range(5) if MASK[b, j] for h in range(2)]

    def score(side, layer, b, h, i, j):
        query, key = side[2 * layer], side[2 * layer + 1]
        size = query.shape[-1] // 2
        part = slice(h * size, (h + 1) * size)
        return dot(query[b, i, part].tolist(), key[b, j, part].tolist()) / math.sqrt(size)

    return sum(
        mean([(score(student, layer, *place) - score(teacher, layer, *place)) ** 2 for place in places])
        for layer in range(2)
    )


def slow_attention(loss, student, teacher) -> float:
    places = [(b, i, j) for b, i in TOKENS for j in range(5) if MASK[b, j]]
    return sum(
        mean([(s[b, h, i, j] - t[b, h, i, j]).item() ** 2 for b, i, j in places for h in range(2)])
        for s, t in zip(student, teacher, strict=True)
    )


def slow_hidden(loss, student, teacher) -> float:
    rows = loss.projection.weight.tolist()
    return sum(
        mean([mean(squares([dot(row, s[b, i].tolist()) for row in rows], t[b, i].tolist())) for b, i in TOKENS])
        for s, t in zip(student, teacher, strict=True)
    )


def slow_minilm(loss, student, teacher) -> float:
    (q, k, v), (their_q, their_k, their_v) = student, teacher
    return divergence((q, k), (their_q, their_k), 2) + divergence((v, v), (their_v, their_v), 2)


def slow_minilm_v2(loss, student, teacher) -> float:
    rows = zip((1, 0.5, 2), student, teacher, strict=True)
    return sum(weight * divergence((s, s), (t, t), 4) for weight, s, t in rows)


def pooled(hidden: Tensor, b: int) -> list[float]:
    return [mean([hidden[b, i, c].item() for i in range(5) if MASK[b, i]]) for c in range(hidden.shape[-1])]


def slow_embeddings(loss, student, teacher) -> float:
    rows = loss.projection.weight.tolist()
    ours = [[dot(row, pooled(student, b)) for row in rows] for b in range(3)]
    return mean([mean(squares(unit(ours[b]), unit(pooled(teacher, b)))) for b in range(3)])


def several(count: int, *shape: int) -> list[Tensor]:
    return list(torch.randn(count, 3, *shape))


# loss, the student's tensors, the teacher's, the slow derivation, whether it takes a mask
CASES = {
    "HiddenCosineLoss": (
        HiddenCosineLoss,
        lambda: torch.randn(3, 5, 8),
        lambda: torch.randn(3, 5, 8),
        slow_cosine,
        True,
    ),
    "PatientKDLoss": (PatientKDLoss, lambda: several(2, 5, 8), lambda: several(2, 5, 8), slow_patient, False),
    "TinyBERTAttentionLoss": (
        lambda: TinyBERTAttentionLoss(heads=2),
        lambda: several(4, 5, 4),
        lambda: several(4, 5, 8),
        slow_scores,
        True,
    ),
    "TinyBERTAttentionMapLoss": (
        TinyBERTAttentionMapLoss,
        lambda: several(2, 2, 5, 5),
        lambda: several(2, 2, 5, 5),
        slow_attention,
        True,
    ),
    "TinyBERTHiddenLoss": (
        lambda: TinyBERTHiddenLoss(4, 8),
        lambda: several(2, 5, 4),
        lambda: several(2, 5, 8),
        slow_hidden,
        True,
    ),
    "MiniLMLoss": (lambda: MiniLMLoss(2), lambda: several(3, 5, 4), lambda: several(3, 5, 8), slow_minilm, True),
    "MiniLMv2Loss": (
        lambda: MiniLMv2Loss(4, (1, 0.5, 2)),
        lambda: several(3, 5, 4),
        lambda: several(3, 5, 12),
        slow_minilm_v2,
        True,
    ),
    "SentenceEmbeddingLoss": (
        lambda: SentenceEmbeddingLoss(4, 8, normalise=True),
        lambda: torch.randn(3, 5, 4),
        lambda: torch.randn(3, 5, 8),
        slow_embeddings,
        True,
    ),
}


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
