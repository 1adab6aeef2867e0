"""Answers to questions, compared as SQuAD compares them.

Pranav Rajpurkar, Jian Zhang, Konstantin Lopyrev, Percy Liang. "SQuAD: 100,000+ Questions for Machine Comprehension of
Text". EMNLP 2016. https://arxiv.org/abs/1606.05250
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import final

import torch
from torch import Tensor, nn

from distill_core.distributed import gather_batch
from distill_core.errors import DataError

from ..data import Question, QuestionWindows

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised_answer(text: str) -> str:
    """Small letters without punctuation, articles and more than one space.

    >>> normalised_answer("The  Eiffel Tower!")
    'eiffel tower'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_f1(answer: str, truth: str) -> float:
    """The harmonic mean of precision and recall of the words that two answers share; of two empty ones it is 1.

    >>> answer_f1("the red house", "a red car")
    0.5
    """
    ours, theirs = normalised_answer(answer).split(), normalised_answer(truth).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


@final
class SquadMetric(nn.Module):
    """Exact match and F1, each the best over the right answers of a question; SQuAD reports them times 100.

    The answer to a question is the stretch of its text with the greatest sum of start and end logit over all windows, the
    end not before the start. With `unanswerable`, it is empty where the logits of the first token of every window,
    [CLS], have a greater sum, less `threshold`.

    Args:
        loader: The loader of the questions, or its `QuestionWindows`.
        longest: An answer has at most so many tokens.
        unanswerable: Whether there are questions without an answer (SQuAD 2.0).
        threshold: By how much an answer has to be better than none.
    """

    percent = True

    none: Tensor

    def __init__(
        self, loader: object, *, longest: int = 30, unanswerable: bool = False, threshold: float = 0.0
    ) -> None:
        super().__init__()
        self.loader = loader
        self.longest, self.unanswerable, self.threshold = longest, unanswerable, threshold
        self.register_buffer("none", torch.zeros(0, 5, dtype=torch.float64), persistent=False)
        self._seen: list[Tensor] = []

    def reset(self) -> None:
        """Forget what was seen."""
        self._seen.clear()

    @torch.no_grad()
    def update(self, start: Tensor, end: Tensor, offsets: Tensor, question: Tensor) -> None:
        """Keep the best stretch of each window.

        Args:
            start: (batch, tokens) logits of the first token.
            end: (batch, tokens) logits of the last one.
            offsets: (batch, tokens, 2) characters of each token, −1 outside the text.
            question: (batch,) the number of the question.
        """
        start, end = start.double(), end.double()
        tokens = start.shape[1]
        inside = offsets[:, :, 0] >= 0
        allowed = torch.ones(tokens, tokens, dtype=torch.bool, device=start.device).triu().tril(self.longest - 1)
        allowed = allowed & inside[:, :, None] & inside[:, None, :]
        sums = (start[:, :, None] + end[:, None, :]).masked_fill(~allowed, float("-inf"))
        best, place = sums.flatten(1).max(1)
        rows = torch.arange(len(place), device=place.device)
        first = offsets[rows, place // tokens, 0]
        last = offsets[rows, place % tokens, 1]
        self._seen.append(torch.stack([question, best, first, last, start[:, 0] + end[:, 0]], dim=1).to(self.none))

    def answers(self) -> dict[int, str]:
        """Question → answer, over all processes."""
        rows = gather_batch(torch.cat([self.none, *self._seen])).cpu().tolist()
        best: dict[int, tuple[float, float, float]] = {}
        empty: dict[int, float] = {}
        for number, score, first, last, nothing in rows:
            question = int(number)
            best[question] = max(best.get(question, (float("-inf"), 0, 0)), (score, first, last))
            empty[question] = min(empty.get(question, float("inf")), nothing)
        questions = self._questions()
        return {
            number: ""
            if score == float("-inf") or (self.unanswerable and score <= empty[number] + self.threshold)
            else questions[number].context[int(first) : int(last)]
            for number, (score, first, last) in best.items()
        }

    def compute(self) -> dict[str, float]:
        """Exact match and F1 over the questions that were asked."""
        questions, answers = self._questions(), self.answers()
        if not answers:
            return {"exact_match": float("nan"), "f1": float("nan")}
        matches, scores = [], []
        for number, answer in answers.items():
            truths = questions[number].answers or ("",)
            matches.append(max(normalised_answer(answer) == normalised_answer(truth) for truth in truths))
            scores.append(max(answer_f1(answer, truth) for truth in truths))
        return {"exact_match": sum(matches) / len(answers), "f1": sum(scores) / len(answers)}

    def _questions(self) -> list[Question]:
        windows = getattr(self.loader, "dataset", self.loader)
        if not isinstance(windows, QuestionWindows):
            message = f"SquadMetric needs the loader of the questions, not {type(windows).__name__}"
            raise DataError(message)
        return windows.questions
