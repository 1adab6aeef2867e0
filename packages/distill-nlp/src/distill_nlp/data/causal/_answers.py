"""Answers of a table of prompts with completions: texts, or the tokens that a model wrote."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from distill_core.errors import DataError

from ..._ignored import IGNORED
from ..._texts import shown
from ...tables import Table
from .._encoded import Tokenizer
from ._causal_tokens import end_token, prompt_tokens, start_tokens, tokens_of

logger = logging.getLogger("distill")


@dataclass(frozen=True)
class AnsweredPrompts:
    """Prompts with completions.

    Attributes:
        prompts: The texts of the prompts.
        texts: The texts of the completions.
        ended: Whether each completion ends with an end token, or was cut before it.
        written: The tokens of the completions, end tokens included, as a model wrote them. None for a table of texts.
    """

    prompts: list[str]
    texts: list[str]
    ended: list[bool]
    written: list[list[int]] | None = None

    @classmethod
    def read(cls, table: Table, prompt: str, completion: str, rows: Sequence[int]) -> AnsweredPrompts:
        """Read rows of a table. A column `<completion>_ids` makes it a table that `write_completions` wrote.

        Raises:
            DataError: A column does not exist, or has cells of another type.
        """
        prompts, texts = ([column[row] for row in rows] for column in map(table.texts, (prompt, completion)))
        if f"{completion}_ids" not in table:
            return cls(prompts, texts, [True] * len(rows))
        written, ended = _tokens_column(table, f"{completion}_ids"), _flag_column(table, "ended")
        return cls(prompts, texts, [ended[row] for row in rows], [list(written[row]) for row in rows])

    def encoded(
        self, tokenizer: Tokenizer, max_length: int, max_prompt: int, cache: str | Path | None
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the inputs and targets of each row; only the completion and its end token are targets."""
        start = start_tokens(tokenizer)
        prompts = tokens_of(self.prompts, tokenizer, cache)
        encoded = []
        for prompt, answer in zip(prompts, self._answers(tokenizer, cache), strict=True):
            asked = prompt_tokens(prompt, tokenizer, start, max_prompt)
            tokens = torch.cat([asked, answer])[: max_length + 1]
            target = tokens[1:].clone()
            target[: len(asked) - 1] = IGNORED
            encoded.append((tokens[:-1], target))
        return encoded

    def _answers(self, tokenizer: Tokenizer, cache: str | Path | None) -> list[Tensor]:
        """Return the tokens of each completion, with its end token if it ended."""
        if self.written is not None:
            pairs = zip(self.written, self.ended, strict=True)
            if [answer_text(tokenizer, row, ended=ended) for row, ended in pairs] == self.texts:
                return [torch.tensor(row, dtype=torch.int32) for row in self.written]
            logger.info("the completions were written with another tokenizer: their texts are tokenised again")
        end = torch.tensor([end_token(tokenizer)], dtype=torch.int32)
        texts = tokens_of(self.texts, tokenizer, cache)
        return [torch.cat([row, end]) if ended else row for row, ended in zip(texts, self.ended, strict=True)]


def answer_text(tokenizer: Any, tokens: Sequence[int], *, ended: bool) -> str:
    """Return the text of a completion without its end token, which need not be a special token."""
    text: str = tokenizer.decode(list(tokens[:-1] if ended else tokens), skip_special_tokens=True)
    return text


def _tokens_column(table: Table, name: str) -> list[list[int]]:
    cells = table.column(name)
    for row, cell in enumerate(cells):
        if not (isinstance(cell, list) and cell and all(type(token) is int and token >= 0 for token in cell)):
            raise _wrong(table, row, name, "a list of tokens", cell)
    return cells


def _flag_column(table: Table, name: str) -> list[bool]:
    cells = table.column(name)
    for row, cell in enumerate(cells):
        if not isinstance(cell, bool):
            raise _wrong(table, row, name, "true or false", cell)
    return cells


def _wrong(table: Table, row: int, name: str, accepted: str, cell: object) -> DataError:
    message = f"{table.where(row)}: `{name}` must be {accepted}, got {shown(cell)}"
    return DataError(message, hint="rename the column if `write_completions` did not write it")
