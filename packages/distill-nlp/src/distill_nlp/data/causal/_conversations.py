"""Conversations for causal language models: the turns of the assistant are the targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from distill_core.data import Loader, with_example
from distill_core.errors import DataError

from ..._ignored import IGNORED
from ...chat import ASSISTANT, Message, checked_messages, checked_tools, encode_conversation
from ...tables import Rows, Table, check_columns
from .._documents import Split
from .._encoded import Tokenizer
from ._causal_tokens import causal_tokenizer
from ._prompts import PromptFormat
from ._row_loader import Selection, loader_of_rows
from ._sequences import Layout, check_sequences, example_of_sequences, vocabulary_of_sequences


def _example(
    rows: Rows, messages: str, batch_size: int, max_length: int, packed: bool, pad_to: int | None, group_by_length: bool
) -> dict[str, Tensor]:
    check_columns(rows, [messages])
    return example_of_sequences(batch_size, max_length, packed, pad_to, group_by_length)


@with_example(_example, check_sequences, vocabulary_of_sequences)
def conversations(
    rows: Rows,
    split: Split = "all",
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    messages: str = "messages",
    tools: str = "tools",
    answers: Literal["all", "last"] = "all",
    max_length: int = 1024,
    packed: bool = False,
    pad_to: int | None = None,
    limit: int | None = None,
    val: float = 0.05,
    test: float = 0.05,
    split_seed: int = 0,
    shuffle: bool | None = None,
    group_by_length: bool = False,
    num_workers: int = 0,
) -> Loader:
    """Build a loader of conversations, rendered by the tokenizer's chat template, in which the assistant's turns are targets.

    Targets are what the template marks with `{% generation %}` or, without marks, what it renders of a turn after the
    generation prompt. Messages after the last turn of the assistant are omitted. With `answers: last`, the prompt of
    `OnPolicy` is everything before the last turn; otherwise it is everything before the first.

    A conversation that is too long loses its last turns as a whole. One whose first answer does not fit is omitted, and
    the number of these is logged.

    Args:
        rows: A table, a saved dataset, a dataset or a list of rows; see `distill_nlp.tables.read_rows`. Or a stream of rows,
            an `IterableDataset`, for a stage of `steps`; too long conversations of a stream are omitted without a log.
        split: `train`, `val`, `test` or `all`; see `split_documents`.
        tokenizer: A tokenizer of transformers with a chat template, or its name or folder.
        batch_size: Number of samples per batch.
        messages: The column of the conversations, lists of `{role: …, content: …}`.
        tools: The column of the tools, JSON schemas. Rows need not have one.
        answers: Learn all turns of the assistant, or the last one only.
        max_length: Maximum number of positions of a sample.
        packed: Pack samples into blocks of `max_length` positions; see `PackedSamples`. Feed models with `position_ids`.
        pad_to: Number of positions in every batch, for a teacher cache. Defaults to those of the longest sample.
        limit: Maximum number of samples, evenly spaced over the rows of the split. None keeps all.
        val, test, split_seed: Fractions of the rows in the validation and test splits, and the seed of the split.
        shuffle: Shuffle in each epoch. Defaults to True for `train` and `all`.
        group_by_length: Put samples of similar length into one batch.
        num_workers: Number of processes that prefetch batches.

    Returns:
        A loader of `input_ids`, `target`, `mask` (batch, longest), and `position_ids` if packed.

    Raises:
        DataError: A row is not a conversation with a turn of the assistant, or the template does not render it.
    """
    layout = Layout(max_length=max_length, packed=packed, pad_to=pad_to, group_by_length=group_by_length)
    chosen = Selection(split=split, limit=limit, val=val, test=test, seed=split_seed, shuffle=shuffle)
    encoder = _Conversations(_chat_tokenizer(tokenizer), (messages, tools), max_length, answers)
    return loader_of_rows(rows, encoder, layout, chosen, batch_size, num_workers)


def _chat_tokenizer(tokenizer: str | Tokenizer) -> Any:
    loaded: Any = causal_tokenizer(tokenizer)
    if not getattr(loaded, "chat_template", None):
        message = f"{type(loaded).__name__} has no chat template"
        raise DataError(message, hint="use the tokenizer of a chat model, or set its chat_template")
    return loaded


@dataclass(frozen=True)
class _Conversations:
    """The encoder of conversations.

    Attributes:
        tokenizer: A tokenizer with a chat template.
        columns: The columns of the conversations and of the tools.
        max_length: Maximum number of positions of a sample.
        answers: `all` or `last`.

    Raises:
        DataError: `answers` is neither.
    """

    tokenizer: Any
    columns: tuple[str, str]
    max_length: int
    answers: str

    def __post_init__(self) -> None:
        if self.answers not in ("all", "last"):
            message = f"`answers` must be all or last, got {self.answers}"
            raise DataError(message)

    @property
    def prompts(self) -> PromptFormat:
        """The format of prompts."""
        return PromptFormat(self.tokenizer, self.columns[0], self.max_length, is_chat=True)

    @property
    def tokenizers(self) -> dict[str, Any]:
        """The tokenizer."""
        return {"": self.tokenizer}

    @property
    def needs_rows(self) -> dict[str, bool]:
        """No option."""
        return {}

    def samples(self, table: Table, rows: Sequence[int]) -> list[Mapping[str, Tensor]]:
        """Return the samples of the conversations that fit.

        Raises:
            DataError: A cell is not a conversation, or its tools are not schemas.
        """
        name, tools_name = self.columns
        cells = table.column(name)
        tools = table.column(tools_name) if tools_name in table else [None] * len(cells)
        found = []
        for row in rows:
            where = f"{table.where(row)}: `{name}`"
            schemas = checked_tools(tools[row], f"{table.where(row)}: `{tools_name}`")
            messages, only_last = checked_messages(cells[row], where), self.answers == "last"
            found.append(_sample(self.tokenizer, messages, schemas, self.max_length, only_last, where))
        return [sample for sample in found if sample is not None]


def _sample(
    tokenizer: Any,
    messages: list[Message],
    tools: list[dict[str, Any]] | None,
    max_length: int,
    only_last: bool,
    where: str,
) -> dict[str, Tensor] | None:
    """Return the inputs and targets of the longest start of a conversation that fits, None if no answer does."""
    turns = [index for index, message in enumerate(messages) if message["role"] == ASSISTANT]
    if not turns:
        message = f"{where} has no message of the role {ASSISTANT}"
        raise DataError(message, hint="remove conversations without an answer")
    for last in reversed(turns):
        tokens, mask = encode_conversation(tokenizer, messages[: last + 1], tools, only_last=only_last, where=where)
        if len(tokens) > max_length + 1:
            continue
        ids = torch.tensor(tokens, dtype=torch.int32)
        target = ids[1:].masked_fill(~torch.tensor(mask[1:]), IGNORED)
        return {"input_ids": ids[:-1], "target": target}
    return None
