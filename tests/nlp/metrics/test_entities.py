"""Entities and several labels, compared with plain loops and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from distill_core.errors import DataError
from distill_nlp.metrics import EntityF1, MultiLabelF1

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def entities(tags: list[str]) -> set[tuple[int, int, str]]:
    """Return begin, end and type of each entity, word by word, as in conlleval."""
    found, begun, kind = set(), None, ""
    for place, tag in enumerate([*tags, "O"]):
        goes_on = tag.startswith("I-") and tag[2:] == kind and begun is not None
        if begun is not None and not goes_on:
            found.add((begun, place - 1, kind))
            begun = None
        if tag != "O" and not goes_on:
            begun, kind = place, tag[2:]
    return found


def expected(pairs):
    both = found = true = 0
    for ours, theirs in pairs:
        a, b = entities([TAGS[tag] for tag in ours]), entities([TAGS[tag] for tag in theirs])
        both, found, true = both + len(a & b), found + len(a), true + len(b)
    precision, recall = both / found if found else 0.0, both / true if true else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=8), min_size=1, max_size=5)
)
def test_entities_equal_those_of_a_plain_loop(texts):
    longest = max(map(len, texts)) + 2
    preds, target = torch.randint(5, (len(texts), longest)), torch.full((len(texts), longest), -100)
    for number, text in enumerate(texts):  # ignored pieces are between the words
        places = sorted(torch.randperm(longest)[: len(text)].tolist())
        for place, (ours, theirs) in zip(places, text, strict=True):
            preds[number, place], target[number, place] = ours, theirs
    metric = EntityF1(TAGS)
    for part in range(len(texts)):
        metric.update(preds[part : part + 1], target[part : part + 1])
    whole = EntityF1(TAGS)
    whole.update(torch.nn.functional.one_hot(preds, 5).float(), target)
    want = expected([([a for a, _ in text], [b for _, b in text]) for text in texts])
    assert metric.compute() == pytest.approx(want)
    assert whole.compute() == pytest.approx(want)


def test_an_inside_tag_begins_an_entity_after_another_type():
    assert entities(["I-PER", "I-LOC", "B-LOC", "I-LOC"]) == {(0, 0, "PER"), (1, 1, "LOC"), (2, 3, "LOC")}


@pytest.mark.parametrize("threshold", [0.5, [0.2, 0.5, 0.8]])
def test_several_labels_equal_scikit_learn(threshold):
    logits, target = torch.randn(40, 3), torch.randint(2, (40, 3)).float()
    metric = MultiLabelF1(3, threshold)
    for ours, theirs in zip(logits.split(7), target.split(7), strict=True):
        metric.update(ours, theirs)
    found = (logits.sigmoid() >= torch.tensor(threshold)).long().numpy()
    true = target.long().numpy()
    assert metric.compute() == pytest.approx(
        {
            "micro_f1": f1_score(true, found, average="micro", zero_division=0),
            "macro_f1": f1_score(true, found, average="macro", zero_division=0),
            "exact_match": accuracy_score(true, found),
        }
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EntityF1(["O", "PER"]), "the label 'PER' is not a tag\n  hint: use the tags O, B-TYPE and I-TYPE"),
        (lambda: MultiLabelF1(3, [0.5]), "`threshold` must have 3 values, one per label, got 1"),
        (
            lambda: MultiLabelF1(3).update(torch.zeros(2, 3), torch.zeros(2)),
            "`preds` and `target` must be (batch, 3), got (2, 3) and (2,)",
        ),
        (
            lambda: EntityF1(TAGS).update(torch.zeros(2, 3, 5), torch.zeros(2, 4)),
            "`preds` and `target` must be (batch, tokens, labels) and (batch, tokens), got (2, 3, 5) and (2, 4)",
        ),
    ],
)
def test_invalid_arguments_are_refused(call, message):
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value) == message
