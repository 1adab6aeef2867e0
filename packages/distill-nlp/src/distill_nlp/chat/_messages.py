"""Checks of the cells of a table of conversations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from distill_core.errors import DataError

from .._texts import shown, text_fault

Message = dict[str, Any]
"""A message of a conversation: `role`, `content` and whatever else the chat template reads, such as `tool_calls`."""


def checked_messages(cell: object, where: str) -> list[Message]:
    """Return the messages of a cell. Keys without a value, which Arrow adds, are omitted.

    Args:
        cell: A list of messages.
        where: Its location, for errors.

    Raises:
        DataError: The cell is not a list of messages with a `role` and `content` or `tool_calls`.
    """
    if not isinstance(cell, list) or not cell:
        message = f"{where} must be a list of messages, got {shown(cell)}"
        raise DataError(message, hint="give messages such as {role: user, content: …}")
    messages = []
    for number, each in enumerate(cell, start=1):
        if not isinstance(each, Mapping):
            message = f"{where}: message {number} must be a mapping with `role` and `content`, got {shown(each)}"
            raise DataError(message)
        given = {name: value for name, value in each.items() if value is not None}
        if (fault := _fault(given)) is not None:
            message = f"{where}: message {number}: {fault}"
            raise DataError(message, hint="give messages such as {role: user, content: …}")
        messages.append(given)
    return messages


def _fault(message: Mapping[str, Any]) -> str | None:
    if (fault := text_fault(message.get("role"))) is not None:
        return f"`role` must be text, got {fault}"
    content = message.get("content")
    if isinstance(content, list):
        return (
            None if all(isinstance(part, Mapping) for part in content) else "`content` must be text or a list of parts"
        )
    if content is None and message.get("tool_calls"):
        return None
    fault = text_fault(content)
    return None if fault is None else f"`content` must be text, got {fault}"


def checked_tools(cell: object, where: str) -> list[dict[str, Any]] | None:
    """Return the tools of a cell, a list of JSON schemas or its JSON text. None and an empty list are no tools.

    Raises:
        DataError: The cell is neither.
    """
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError as error:
            message = f"{where} is not JSON: {error}"
            raise DataError(message) from error
    if cell is None:
        return None
    if not isinstance(cell, list) or not all(isinstance(tool, dict) for tool in cell):
        message = f"{where} must be a list of JSON schemas, got {shown(cell)}"
        raise DataError(message)
    return cell or None
