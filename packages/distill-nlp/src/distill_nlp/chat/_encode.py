"""Tokens of a conversation, with a mask of those that the assistant wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from distill_core.errors import DataError

from ._messages import Message

ASSISTANT = "assistant"
"""The role whose turns a model learns."""

_MARK = re.compile(r"\{%-?\s*generation\s*-?%\}")
"""The start of the assistant's part of a turn in a chat template."""


def encode_conversation(
    tokenizer: Any,
    messages: Sequence[Message],
    tools: list[dict[str, Any]] | None = None,
    *,
    only_last: bool = False,
    where: str = "the conversation",
) -> tuple[list[int], list[bool]]:
    """Return the tokens of a conversation, as the chat template renders it, and which of them the assistant wrote.

    If the template has generation marks, they determine the assistant's tokens. Otherwise a turn is the difference between
    the conversation up to the turn, and the conversation before it with the generation prompt. A token that reaches into a
    turn, such as one for a newline of the prompt and one of the answer, is the assistant's.

    Args:
        tokenizer: A fast tokenizer of transformers with a chat template.
        messages: The messages. At least one is the assistant's.
        tools: JSON schemas of tools, for templates that render them.
        only_last: Mark the last turn of the assistant only.
        where: The location of the conversation, for errors.

    Raises:
        DataError: The template refuses the conversation, or renders earlier turns differently when others follow.
    """
    chosen = tokenizer.get_chat_template(tools=tools)
    if _MARK.search(chosen):
        options = {"return_assistant_tokens_mask": True, "return_dict": True}
        encoded = _apply(tokenizer, messages, tools, where, tokenize=True, **options)
        tokens, mask = list(encoded["input_ids"]), [bool(mark) for mark in encoded["assistant_masks"]]
        return tokens, _last_run(mask) if only_last else mask
    text = _apply(tokenizer, messages, tools, where, tokenize=False)
    turns = [index for index, message in enumerate(messages) if message["role"] == ASSISTANT]
    spans = [_span(tokenizer, messages, tools, index, text, where) for index in turns[-1 if only_last else 0 :]]
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    mask = [any(end > first and start < last for first, last in spans) for start, end in encoded["offset_mapping"]]
    return list(encoded["input_ids"]), mask


def encode_prompt(tokenizer: Any, messages: Sequence[Message], where: str = "the conversation") -> list[int]:
    """Return the tokens of a conversation that the assistant is to continue, as the chat template renders it.

    Args:
        tokenizer: A tokenizer of transformers with a chat template.
        messages: The messages.
        where: The location of the conversation, for errors.

    Raises:
        DataError: The template refuses the conversation.
    """
    text = _apply(tokenizer, messages, None, where, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _apply(tokenizer: Any, messages: Sequence[Message], tools: Any, where: str, **options: Any) -> Any:
    try:
        return tokenizer.apply_chat_template(list(messages), tools=tools, **options)
    except Exception as error:
        message = f"{where}: the chat template refuses the messages: {error}"
        raise DataError(message) from error


def _span(
    tokenizer: Any, messages: Sequence[Message], tools: Any, index: int, text: str, where: str
) -> tuple[int, int]:
    """Return where an assistant's turn starts and ends in the text of the conversation."""
    if index == 0:
        message = f"{where}: the first message is the assistant's, and the chat template has no generation marks"
        raise DataError(message, hint="put a message of the user or the system before it")
    before = _apply(tokenizer, messages[:index], tools, where, tokenize=False, add_generation_prompt=True)
    through = _apply(tokenizer, messages[: index + 1], tools, where, tokenize=False)
    if not through.startswith(before) or not text.startswith(through):
        message = (
            f"{where}: the chat template renders message {index + 1} differently before and after others follow it"
        )
        hint = "set `answers: last`, or use a template with {% generation %} around the assistant's part"
        raise DataError(message, hint=hint)
    return len(before), len(through)


def _last_run(mask: list[bool]) -> list[bool]:
    """Return the last consecutive marks alone.

    >>> _last_run([True, False, True, True, False])
    [False, False, True, True, False]
    """
    last = len(mask) - 1 - mask[::-1].index(True) if any(mask) else -1
    first = last
    while first > 0 and mask[first - 1]:
        first -= 1
    return [last >= 0 and first <= index <= last for index in range(len(mask))]
