"""Exact match and F1 of answers, as in SQuAD.

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
    """Return an answer in lower case, without punctuation, articles and repeated whitespace.

    >>> normalised_answer("The  Eiffel Tower!")
    'eiffel tower'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def answer_f1(answer: str, truth: str) -> float:
    """Return the F1 of the words that two answers share, which is 1 for two empty answers.

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
    """Exact match and F1, each the maximum over the correct answers of a question.

    The predicted answer is the span with the greatest sum of start and end logit over all windows of the question. With
    `unanswerable`, it is empty unless that sum exceeds the one of the first token, [CLS], in some window by more than
    `threshold`.

    Args:
        loader: The loader of the questions, or its `QuestionWindows`.
        longest: Maximum number of tokens of an answer.
        unanswerable: Whether questions may have no answer (SQuAD 2.0).
        threshold: Required difference between the logits of an answer and of no answer.
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
        self._spans: list[Tensor] = []

    def reset(self) -> None:
        """Reset the metric."""
        self._spans.clear()

    @torch.no_grad()
    def update(self, start: Tensor, end: Tensor, offsets: Tensor, question: Tensor) -> None:
        """Add the best span of each window.

        Args:
            start: (batch, tokens) logits of the first token.
            end: (batch, tokens) logits of the last one.
            offsets: (batch, tokens, 2) characters of each token, −1 outside the text.
            question: (batch,) the index of the question.
        """
        start, end = start.double(), end.double()
        tokens = start.shape[1]
        inside = offsets[:, :, 0] >= 0
        allowed = torch.ones(tokens, tokens, dtype=torch.bool, device=start.device).triu().tril(self.longest - 1)
        allowed = allowed & inside[:, :, None] & inside[:, None, :]
        sums = (start[:, :, None] + end[:, None, :]).masked_fill(~allowed, float("-inf"))
        best, index = sums.flatten(1).max(1)
        rows = torch.arange(len(index), device=index.device)
        first = offsets[rows, index // tokens, 0]
        last = offsets[rows, index % tokens, 1]
        self._spans.append(torch.stack([question, best, first, last, start[:, 0] + end[:, 0]], dim=1).to(self.none))

    def answers(self) -> dict[int, str]:
        """Return the answers by the index of the question, over all processes."""
        rows = gather_batch(torch.cat([self.none, *self._spans])).cpu().tolist()
        best: dict[int, tuple[float, float, float]] = {}
        empty: dict[int, float] = {}
        for index, score, first, last, nothing in rows:
            question = int(index)
            best[question] = max(best.get(question, (float("-inf"), 0, 0)), (score, first, last))
            empty[question] = min(empty.get(question, float("inf")), nothing)
        questions = self._questions()
        return {
            index: ""
            if score == float("-inf") or (self.unanswerable and score <= empty[index] + self.threshold)
            else questions[index].context[int(first) : int(last)]
            for index, (score, first, last) in best.items()
        }

    def compute(self) -> dict[str, float]:
        """Return exact match and F1 over all questions of the added batches."""
        questions, answers = self._questions(), self.answers()
        if not answers:
            return {"exact_match": float("nan"), "f1": float("nan")}
        matches, scores = [], []
        for index, answer in answers.items():
            truths = questions[index].answers or ("",)
            matches.append(max(normalised_answer(answer) == normalised_answer(truth) for truth in truths))
            scores.append(max(answer_f1(answer, truth) for truth in truths))
        return {"exact_match": sum(matches) / len(answers), "f1": sum(scores) / len(answers)}

    def _questions(self) -> list[Question]:
        windows = getattr(self.loader, "dataset", self.loader)
        if not isinstance(windows, QuestionWindows):
            message = f"`loader` must be the loader of the questions, got {type(windows).__name__}"
            raise DataError(message)
        return windows.questions
