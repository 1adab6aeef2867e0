"""Check that a model can read tokenised texts: length, tokens, padding side and padding token."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor, nn

from distill_core.errors import DataError

from .._positions import num_embeddings, num_positions, position_table


@dataclass(frozen=True)
class Extent:
    """Length and vocabulary of the texts of a field.

    Attributes:
        longest: The number of tokens of the longest text.
        greatest: The greatest token, −1 if unknown.
    """

    longest: int
    greatest: int = -1


def check_readable(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    extents: Mapping[str, Extent],
    padding: Mapping[str, int],
    side: str,
    *,
    at_most: bool = False,
) -> str:
    """Check that a model can read batches of texts.

    Args:
        name: The model's name.
        model: The model. Only models of transformers are checked.
        inputs: Parameter → field of the batch.
        extents: Field → length and vocabulary of its texts.
        padding: Field → the padding token.
        side: The padded side.
        at_most: `extents` are limits that the texts may not reach: return a fault instead of raising it.

    Returns:
        A fault that depends on the texts, or an empty string.

    Raises:
        DataError: A text has more tokens than the model has positions, or tokens without an embedding, or the model reads
            padding as text.
    """
    field = inputs.get("input_ids", "")
    if field not in extents or not hasattr(model, "config"):
        return ""
    subject = f"{name} ({type(model).__name__}) cannot read batch.{field}"
    greatest = max(extents[field].greatest, padding.get(field, -1))
    possible = _length_fault(model, extents[field].longest) or _token_fault(model, greatest)
    fault = _side_fault(model, side, inputs) or _padding_fault(model, padding.get(field))
    if fault or (possible and not at_most):
        text, hint = fault or possible or ("", "")
        message = f"{subject}: {text}"
        raise DataError(message, hint=hint)
    return f"{subject} if the texts reach the limits: {possible.text}" if possible else ""


class _Fault(NamedTuple):
    text: str
    hint: str


def _length_fault(model: nn.Module, longest: int) -> _Fault | None:
    maximum = num_positions(model)
    if maximum is None or longest <= maximum:
        return None
    text = f"texts have up to {longest} tokens, but the model has {maximum} positions"
    return _Fault(text, f"set the `max_length` (or `block`) of the data to at most {maximum}")


def _token_fault(model: nn.Module, greatest: int) -> _Fault | None:
    count = num_embeddings(model)
    if count is None or greatest < count:
        return None
    text = f"the tokens of the texts go up to {greatest}, but the model has embeddings for 0 to {count - 1}"
    return _Fault(text, "use the model's own tokenizer, or enlarge the model with `resize_token_embeddings`")


def _side_fault(model: nn.Module, side: str, inputs: Mapping[str, str]) -> _Fault | None:
    table = position_table(model)
    if side != "left" or table is None or table.padding_idx is not None or "position_ids" in inputs:
        return None
    text = "the tokenizer pads on the left, but the model counts positions from the left end of a row"
    return _Fault(text, "set the tokenizer's padding_side to right")


def _padding_fault(model: nn.Module, padding: int | None) -> _Fault | None:
    model = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
    table = position_table(model)
    if table is not None and table.padding_idx is not None and padding not in (None, table.padding_idx):
        text = f"texts are padded with token {padding}, but the model counts positions from token {table.padding_idx}"
        return _Fault(text, "use the model's own tokenizer for the data")
    if padding is None or padding == config.pad_token_id or not _finds_ends_by_padding(model):
        return None
    text = f"texts are padded with token {padding}, but the model's pad_token_id is {config.pad_token_id}"
    return _Fault(text, "pass the tokenizer of the data to from_pretrained: `tokenizer`")


def _finds_ends_by_padding(model: nn.Module) -> bool:
    """Return whether a sequence classifier reads the last token before the padding, as decoders do."""
    if not type(model).__name__.endswith("ForSequenceClassification"):
        return False
    try:
        return "pad_token_id" in inspect.getsource(type(model).forward)
    except (OSError, TypeError):
        return False


def extents_of(fields: Mapping[str, Sequence[Tensor] | Tensor], inputs: Mapping[str, str]) -> dict[str, Extent]:
    """Return length and vocabulary of the field that a model with these `inputs` reads as tokens."""
    name = inputs.get("input_ids", "")
    rows = fields.get(name, ())
    if len(rows) == 0:
        return {}
    if isinstance(rows, Tensor):
        return {name: Extent(rows.shape[1], int(rows.max()))}
    return {name: Extent(max(map(len, rows)), max(int(row.max()) for row in rows if len(row)))}
