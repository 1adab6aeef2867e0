"""Whether a model can read tokenised texts: their length, their tokens, the side they are padded at, the padding token."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from distill_core.errors import DataError

from .._positions import num_embeddings, num_positions, position_table


@dataclass(frozen=True)
class Extent:
    """What the texts of a field need of a model.

    Attributes:
        longest: The number of tokens of the longest text.
        greatest: The greatest token; −1 if it is not known.
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
        model: The model; those that are not of transformers are not checked.
        inputs: Parameter → field of the batch.
        extents: Field → what its texts need.
        padding: Field → the padding token.
        side: The side that texts are padded at.
        at_most: `extents` are limits: return the fault of a text that reaches them.

    Returns:
        A fault that depends on the texts, or nothing.

    Raises:
        DataError: A text has more tokens than the model has positions, or tokens for which it has no embedding, or the
            model reads padding as text.
    """
    field = inputs.get("input_ids", "")
    if field not in extents or not hasattr(model, "config"):
        return ""
    what = f"{name} ({type(model).__name__}) cannot read batch.{field}"
    greatest = max(extents[field].greatest, padding.get(field, -1))
    possible = _length_fault(model, extents[field].longest) or _token_fault(model, greatest)
    fault = _side_fault(model, side, inputs) or _padding_fault(model, padding.get(field))
    if fault or (possible and not at_most):
        message = f"{what}: {fault or possible}"
        raise DataError(message)
    return f"{what} if the texts have them: {possible.partition(chr(10))[0]}" if possible else ""


def _length_fault(model: nn.Module, longest: int) -> str:
    most = num_positions(model)
    if most is None or longest <= most:
        return ""
    return f"texts have up to {longest} tokens, but the model has {most} positions\n  hint: set the `max_length` (or `block`) of the data to at most {most}"


def _token_fault(model: nn.Module, greatest: int) -> str:
    known = num_embeddings(model)
    if known is None or greatest < known:
        return ""
    return f"the tokens of the texts go up to {greatest}, but the model has embeddings for 0 to {known - 1}\n  hint: read the data with the model's own tokenizer, or give the model more with `resize_token_embeddings`"


def _side_fault(model: nn.Module, side: str, inputs: Mapping[str, str]) -> str:
    table = position_table(model)
    if side != "left" or table is None or table.padding_idx is not None or "position_ids" in inputs:
        return ""
    return "the tokenizer pads on the left, but the model counts positions from the left end of a row\n  hint: set the tokenizer's padding_side to right"


def _padding_fault(model: nn.Module, padding: int | None) -> str:
    model = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    config: Any = model.config.get_text_config()  # type: ignore[union-attr, operator]
    table = position_table(model)
    if table is not None and table.padding_idx is not None and padding not in (None, table.padding_idx):
        return f"texts are padded with token {padding}, but the model counts positions from padding token {table.padding_idx}\n  hint: read the data with the model's own tokenizer"
    if padding is None or padding == config.pad_token_id or not _finds_ends_by_padding(model):
        return ""
    return f"texts are padded with token {padding}, but the model's pad_token_id is {config.pad_token_id}\n  hint: give from_pretrained the `tokenizer` that the data are read with"


def _finds_ends_by_padding(model: nn.Module) -> bool:
    """Return whether a sequence classifier takes the last token before the padding, as decoders do."""
    if not type(model).__name__.endswith("ForSequenceClassification"):
        return False
    try:
        return "pad_token_id" in inspect.getsource(type(model).forward)
    except (OSError, TypeError):
        return False


def extents_of(fields: Mapping[str, Sequence[Tensor] | Tensor], inputs: Mapping[str, str]) -> dict[str, Extent]:
    """Return what the field that a model with these `inputs` reads as tokens needs."""
    name = inputs.get("input_ids", "")
    rows = fields.get(name, ())
    if len(rows) == 0:
        return {}
    if isinstance(rows, Tensor):
        return {name: Extent(rows.shape[1], int(rows.max()))}
    return {name: Extent(max(map(len, rows)), max(int(row.max()) for row in rows if len(row)))}
