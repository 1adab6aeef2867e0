"""A user's own prompts for a causal language model, prepared like those of its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from distill_core.data import GivenInputs, PredictionOptions
from distill_core.errors import DataError

from ...chat import ASSISTANT, Message, checked_messages, encode_prompt
from ...tables import given_texts, is_table, rows_of
from ._causal_tokens import prompt_tokens, start_tokens, tokens_of


@final
@dataclass(frozen=True)
class PromptFormat:
    """The format of the prompts of a language model.

    Attributes:
        tokenizer: The tokenizer of the model.
        column: The column of the prompts or conversations in tables.
        max_prompt: Maximum number of prompt tokens, of which the last are kept.
        is_chat: Whether a prompt is a conversation, rendered by the chat template; a text is then the user's message.
    """

    tokenizer: Any
    column: str
    max_prompt: int
    is_chat: bool = False

    @property
    def _fingerprint(self) -> str:
        """Empty: the samples of a dataset, and with them the key of a cache, do not depend on other prompts."""
        return ""

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return prompts as samples `input_ids`, which a model completes.

        Raises:
            DataError: A file is missing or damaged, or has no column of prompts or conversations.
        """
        read = self._chats if self.is_chat else self._texts
        inputs, rows = zip(*read(paths, texts), strict=True)
        samples = [{"input_ids": row} for row in rows]
        return GivenInputs(inputs=inputs, dataset=samples, collate=_listed, complete=self._complete)

    def _texts(self, paths: Sequence[Path], texts: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Yield each prompt and its tokens."""
        prompts = given_texts(paths, texts, [(self.column,)]).columns[0]
        start = start_tokens(self.tokenizer)
        for text, tokens in zip(prompts, tokens_of(prompts, self.tokenizer), strict=True):
            yield text, prompt_tokens(tokens, self.tokenizer, start, self.max_prompt)

    def _chats(self, paths: Sequence[Path], texts: Sequence[str]) -> Iterator[tuple[Any, Tensor]]:
        """Yield each conversation, or the text that is its only message, and its tokens."""
        for path in filter(is_table, paths):
            for where, messages in self._conversations(path):
                yield messages, self._rendered(messages, where)
        plain = [path for path in paths if not is_table(path)]
        for text in given_texts(plain, texts, [(self.column,)]).columns[0] if plain or texts else ():
            yield text, self._rendered([{"role": "user", "content": text}], f"the text {text[:40]!r}")

    def _conversations(self, path: Path) -> Iterator[tuple[str, list[Message]]]:
        """Yield the location and the messages of each row, without an answer at the end."""
        table, (name,) = rows_of(path, [(self.column,)])
        for row, cell in enumerate(table.column(name)):
            where = f"{table.where(row)}: `{name}`"
            messages = checked_messages(cell, where)
            asked = messages[:-1] if messages[-1]["role"] == ASSISTANT else messages
            if not asked:
                message = f"{where} has no message before that of the {ASSISTANT}"
                raise DataError(message)
            yield where, asked

    def _rendered(self, messages: list[Message], where: str) -> Tensor:
        tokens = torch.tensor(encode_prompt(self.tokenizer, messages, where), dtype=torch.long)
        return tokens[-self.max_prompt :]

    def _complete(self, model: nn.Module, batch: Mapping[str, Any], options: PredictionOptions) -> list[dict[str, Any]]:
        """Return a record with the completion of each prompt, decoded greedily."""
        from ...generation import Sampling, complete_prompts, end_tokens  # imports this package

        sampling = Sampling(max_new_tokens=options.max_new_tokens, temperature=0.0)
        ends = end_tokens(model, self.tokenizer)
        found = complete_prompts(model, batch["input_ids"], self.tokenizer, sampling, ends=ends)
        return [{"completion": each["completion"], "ended": each["ended"]} for each in found]


class CompletesPrompts:
    """A dataset of a language model, whose user's inputs are prompts.

    Attributes:
        prompts: The format of the prompts; None if it is not known.
    """

    prompts: PromptFormat | None = None

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, None if the format of the prompts is not known."""
        return self.prompts.tokenizer if self.prompts else None

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return prompts as samples, which a model completes.

        Raises:
            DataError: The format of the prompts is not known, or they cannot be read.
        """
        if self.prompts is None:
            message = f"this {type(self).__name__} does not know the format of its prompts"
            raise DataError(message, hint="use a data function of distill_nlp, or set the attribute `prompts`")
        return self.prompts.given_inputs(paths, texts)


def _listed(samples: Sequence[Mapping[str, Tensor]]) -> dict[str, list[Tensor]]:
    """Collate prompts to a list, because they differ in length."""
    return {"input_ids": [sample["input_ids"] for sample in samples]}
