"""Questions and texts as tokens: a long text is cut into windows that overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ._collate import PadCollate
from ._encoded import Tokenizer, find_tokenizer, padding_of
from ._example import check_of_texts, example_tokens
from ._grouped import loader_of_texts
from ._readable import check_readable, extents_of
from ._squad import Question, read_questions


def _example(tokenizer: str | Tokenizer, batch_size: int) -> dict[str, Tensor]:
    fields = example_tokens(tokenizer, batch_size)
    numbers = {
        name: torch.zeros(batch_size, dtype=torch.long, device="meta") for name in ("start", "end", "question", "index")
    }
    return fields | numbers | {"offsets": torch.zeros(batch_size, 8, 2, dtype=torch.long, device="meta")}


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
    """Batches of windows of questions and texts.

    Args:
        file: SQuAD's JSON, or lines or columns of `id`, `question`, `context` and `answers`.
        tokenizer: A fast tokenizer of transformers, or its name or folder.
        batch_size: Windows per batch.
        max_length: Tokens of a window, question included.
        stride: Tokens that a window shares with the one before.
        shuffle: A new order in each epoch.
        group_by_length: Windows of about the same length share a batch, so that little is padding.
        num_workers: Processes that read ahead.

    Returns:
        Batches with `input_ids` and `attention_mask` (batch, longest), whatever else the tokenizer gives; `start` and
        `end` (batch,), the first and last token of the answer, 0 for both in a window without it; and, to decode,
        `offsets` (batch, longest, 2), the characters of the text that a token covers, −1 outside of it, and `question`
        (batch,), the number of the question.

    Raises:
        DataError: The file cannot be read, or the tokenizer does not tell the characters of a token.
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
        tokenizer: Gives the tokens and their characters.
        max_length: Tokens of a window, question included.
        stride: Tokens that a window shares with the one before.

    Attributes:
        questions: The questions, by the numbers that `question` holds.
        lengths: (windows,) int64, how many tokens each has.

    Raises:
        DataError: The tokenizer does not tell the characters of a token, or a window has no room for the text.
    """

    def __init__(
        self, questions: Sequence[Question], tokenizer: Tokenizer, max_length: int = 384, stride: int = 128
    ) -> None:
        if not getattr(tokenizer, "is_fast", False):
            message = (
                f"{type(tokenizer).__name__} does not tell the characters of a token\n  hint: give a fast tokenizer"
            )
            raise DataError(message)
        self.questions = list(questions)
        windows = _windows(self.questions, tokenizer, max_length, stride)
        asked = windows.pop("overflow_to_sample_mapping")
        offsets = [
            _text_only(row, windows.sequence_ids(number)) for number, row in enumerate(windows.pop("offset_mapping"))
        ]
        spans = [_span(self.questions[number], row) for number, row in zip(asked, offsets, strict=True)]
        self.fields: dict[str, list[Tensor]] = {
            name: [torch.tensor(row) for row in rows] for name, rows in dict(windows).items()
        }
        self.fields["offsets"] = [torch.tensor(row) for row in offsets]
        self.numbers = {"start": [s for s, _ in spans], "end": [e for _, e in spans], "question": list(asked)}
        self.lengths = torch.tensor([len(row) for row in self.fields["input_ids"]])
        side: Literal["left", "right"] = getattr(tokenizer, "padding_side", "right")
        self.collate = PadCollate(padding_of(tokenizer, self.fields) | {"offsets": -1}, side=side)

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.fields, inputs), self.collate.padding, self.collate.side)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One window, not padded."""
        fields: dict[str, Any] = {name: rows[index] for name, rows in self.fields.items()}
        return fields | {name: numbers[index] for name, numbers in self.numbers.items()}


def _windows(questions: Sequence[Question], tokenizer: Tokenizer, max_length: int, stride: int) -> Any:
    try:
        return tokenizer(
            [question.question.strip() for question in questions],
            [question.context for question in questions],
            truncation="only_second",
            max_length=max_length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
    except BaseException as error:  # tokenizers panics, which is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        message = f"windows of {max_length} tokens with {stride} shared leave no room for the text: {error}\n  hint: a greater max_length or a smaller stride"
        raise DataError(message) from error


def _text_only(offsets: Sequence[tuple[int, int]], sequences: Sequence[int | None]) -> list[tuple[int, int]]:
    """The characters of tokens of the text, (−1, −1) for all others."""
    return [pair if part == 1 else (-1, -1) for pair, part in zip(offsets, sequences, strict=True)]


def _span(question: Question, offsets: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The first and last token of the first answer; 0 and 0 if it is not whole in this window."""
    if not question.answers:
        return 0, 0
    begin, end = question.starts[0], question.starts[0] + len(question.answers[0])
    inside = [place for place, (first, last) in enumerate(offsets) if first >= 0 and first < end and last > begin]
    if not inside or offsets[inside[0]][0] > begin or offsets[inside[-1]][1] < end:
        return 0, 0
    return inside[0], inside[-1]
