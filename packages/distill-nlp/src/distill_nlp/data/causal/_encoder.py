"""The interface of what turns rows of a table into samples of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ...tables import Table
from .._encoded import Tokenizer
from ._prompts import PromptFormat


class Encoder(Protocol):
    """An encoder of rows.

    Attributes:
        prompts: The format of prompts, for predictions.
        tokenizers: Prefix of fields, such as `teacher_` → its tokenizer.
        needs_rows: Options that need all rows, not a stream → whether they are set.
    """

    @property
    def prompts(self) -> PromptFormat:
        """The format of prompts."""
        ...

    @property
    def tokenizers(self) -> Mapping[str, Tokenizer]:
        """The tokenizers by prefix."""
        ...

    @property
    def needs_rows(self) -> Mapping[str, bool]:
        """The options that need all rows."""
        ...

    def samples(self, table: Table, rows: Sequence[int]) -> list[Mapping[str, Tensor]]:
        """Return `input_ids` and `target` of each row, for each prefix, without the rows that do not fit."""
        ...
