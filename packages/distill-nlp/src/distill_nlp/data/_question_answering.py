"""Extractive question answering: tokenised questions and texts, split into overlapping windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ._collate import PadCollate
from ._encoded import Tokenizer, find_tokenizer, padding_of, side_of
from ._example import check_of_texts, example_tokens
from ._grouped import loader_of_texts
from ._readable import check_readable, extents_of
from ._squad import Question, read_questions
from ._token_batches import batches_of


def _example(tokenizer: str | Tokenizer, batch_size: int) -> dict[str, Tensor]:
    fields = example_tokens(tokenizer, batch_size)
    indices = {
        name: torch.zeros(batch_size, dtype=torch.long, device="meta") for name in ("start", "end", "question", "index")
    }
    return fields | indices | {"offsets": torch.zeros(batch_size, 8, 2, dtype=torch.long, device="meta")}


@with_example(_example, check_of_texts)
def question_answering(
    file: str | Path,
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    max_length: int = 384,
    stride: int = 128,
    shuffle: bool = False,
    group_by_length: bool = False,
    num_workers: int = 0,
) -> Loader:
    """Build a loader of windows of questions and texts.

    Args:
        file: SQuAD's JSON, or a table with the columns `id`, `question`, `context` and `answers`.
        tokenizer: A fast tokenizer of transformers, or its name or folder.
        batch_size: Number of windows per batch.
        max_length: Number of tokens of a window, including the question.
        stride: Number of tokens that a window shares with the previous one.
        shuffle: Shuffle in each epoch.
        group_by_length: Put windows of similar length into one batch, which reduces padding.
        num_workers: Number of processes that prefetch batches.

    Returns:
        A loader of `input_ids` and `attention_mask` (batch, longest), any further fields of the tokenizer, `start` and
        `end` (batch,), the first and last token of the answer, both 0 in a window without it, `offsets` (batch, longest,
        2), the character range of each token, −1 outside the text, and `question` (batch,), the question's index.

    Raises:
        DataError: The file cannot be read, or the tokenizer does not return character offsets.
    """
    dataset = QuestionWindows(read_questions(file), find_tokenizer(tokenizer), max_length, stride)
    return loader_of_texts(
        dataset, batch_size, shuffle=shuffle, num_workers=num_workers, group_by_length=group_by_length
    )


@final
class QuestionWindows:
    """Windows of questions and texts, tokenised once.

    Args:
        questions: The questions.
        tokenizer: A fast tokenizer.
        max_length: Number of tokens of a window, including the question.
        stride: Number of tokens that a window shares with the previous one.

    Attributes:
        questions: The questions, in the order of the indices in `question`.
        tokenizer: The tokenizer.
        lengths: (windows,) int64, number of tokens.

    Raises:
        DataError: The tokenizer does not return character offsets, or a window has no room for the text.
    """

    def __init__(
        self, questions: Sequence[Question], tokenizer: Tokenizer, max_length: int = 384, stride: int = 128
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            message = f"{type(tokenizer).__name__} does not return character offsets"
            raise DataError(message, hint="give a fast tokenizer")
        self.questions, self.tokenizer = list(questions), tokenizer
        self.fields: dict[str, list[Tensor]] = {}
        self.indices: dict[str, list[int]] = {"start": [], "end": [], "question": []}
        texts = [[each.question.strip() for each in self.questions], [each.context for each in self.questions]]
        start = 0
        for asked, contexts in batches_of(texts):
            self._add(_windows(asked, contexts, tokenizer, max_length, stride), start)
            start += len(asked)
        self.lengths = torch.tensor([len(row) for row in self.fields["input_ids"]])
        self.collate = PadCollate(padding_of(tokenizer, self.fields) | {"offsets": -1}, side=side_of(tokenizer))

    def _add(self, windows: Any, start: int) -> None:
        """Add the windows of a batch of questions, the first of which has the index `start`."""
        indices = [start + index for index in windows.pop("overflow_to_sample_mapping")]
        offsets = [
            _text_only(row, windows.sequence_ids(index)) for index, row in enumerate(windows.pop("offset_mapping"))
        ]
        for name, rows in (dict(windows) | {"offsets": offsets}).items():
            self.fields.setdefault(name, []).extend(torch.tensor(row) for row in rows)
        spans = [_span(self.questions[index], row) for index, row in zip(indices, offsets, strict=True)]
        self.indices["start"] += [first for first, _ in spans]
        self.indices["end"] += [last for _, last in spans]
        self.indices["question"] += indices

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.fields, inputs), self.collate.padding, self.collate.side)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one window without padding."""
        fields: dict[str, Any] = {name: rows[index] for name, rows in self.fields.items()}
        return fields | {name: column[index] for name, column in self.indices.items()}


def _windows(asked: list[str], contexts: list[str], tokenizer: Tokenizer, max_length: int, stride: int) -> Any:
    try:
        return tokenizer(
            asked,
            contexts,
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
    except BaseException as error:  # a panic of tokenizers is not an Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        message = f"windows of {max_length} tokens with a stride of {stride} leave no room for the text: {error}"
        raise DataError(message, hint="increase max_length or reduce stride") from error


def _text_only(offsets: Sequence[tuple[int, int]], sequences: Sequence[int | None]) -> list[tuple[int, int]]:
    """Return the character ranges of the text's tokens, and (−1, −1) for all others."""
    return [pair if sequence == 1 else (-1, -1) for pair, sequence in zip(offsets, sequences, strict=True)]


def _span(question: Question, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the first and last token of the first answer, or 0 and 0 if the window does not contain all of it."""
    if not question.answers:
        return 0, 0
    begin, end = question.starts[0], question.starts[0] + len(question.answers[0])
    inside = [index for index, (first, last) in enumerate(offsets) if first >= 0 and first < end and last > begin]
    if not inside or offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < end:
        return 0, 0
    return inside[0], inside[-1]
