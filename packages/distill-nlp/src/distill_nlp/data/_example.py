"""Example batches on the meta device, and checks of models, to check an experiment without its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized

import torch
from torch import Tensor, nn

from distill_core.errors import DistillError

from ._encoded import Tokenizer, find_tokenizer, load_tokenizer, side_of
from ._readable import Extent, check_readable


def example_of_texts(
    *,
    tokenizer: str | Tokenizer,
    batch_size: int,
    labels: Sequence[str] | str | None = ("0", "1"),
    tokenizers: Mapping[str, str | Tokenizer] | None = None,
    apart: bool = False,
    several: bool = False,
) -> dict[str, Tensor]:
    """Return a batch on the meta device, for the arguments of `text_classification`."""
    fields = example_tokens(tokenizer, 2 * batch_size if apart else batch_size)
    for name, other in (tokenizers or {}).items():
        fields |= {f"{name}_{field}": value for field, value in example_tokens(other, batch_size).items()}
    target_type = torch.float32 if labels is None or several else torch.long
    shape = (batch_size, 2 if isinstance(labels, str) else len(labels or ())) if several else (batch_size,)
    return fields | {
        "target": torch.zeros(shape, dtype=target_type, device="meta"),
        "index": torch.zeros(batch_size, dtype=torch.long, device="meta"),
    }


def example_tokens(tokenizer: str | Tokenizer, rows: int, length: int = 8) -> dict[str, Tensor]:
    """Return the fields of a tokenizer, (rows, length), on the meta device."""
    names = getattr(find_tokenizer(tokenizer), "model_input_names", ["input_ids", "attention_mask"])
    return {name: torch.zeros(rows, length, dtype=torch.long, device="meta") for name in names}


def example_of_tokens(batch_size: int, positions: int, prefix: str = "") -> dict[str, Tensor]:
    """Return a batch on the meta device."""
    shape = (batch_size, positions)
    return {
        f"{prefix}input_ids": torch.zeros(shape, dtype=torch.long, device="meta"),
        f"{prefix}target": torch.zeros(shape, dtype=torch.long, device="meta"),
        f"{prefix}mask": torch.zeros(shape, dtype=torch.bool, device="meta"),
        "index": torch.zeros(batch_size, dtype=torch.long, device="meta"),
    }


def check_of_texts(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    *,
    max_length: int,
    tokenizer: str | Tokenizer,
    tokenizers: Mapping[str, str | Tokenizer] | None = None,
    max_lengths: Mapping[str, int] | None = None,
) -> str:
    """Check that a model can read texts truncated to `max_length`; see `check_readable`."""
    loaded = {"input_ids": find_tokenizer(tokenizer)}
    loaded |= {f"{prefix}_input_ids": find_tokenizer(other) for prefix, other in (tokenizers or {}).items()}
    padding = {field: int(each.pad_token_id or 0) for field, each in loaded.items()}
    lengths = {f"{prefix}_input_ids": length for prefix, length in (max_lengths or {}).items()}
    extents = {field: Extent(lengths.get(field, max_length), greatest_of(each)) for field, each in loaded.items()}
    return check_readable(name, model, inputs, extents, padding, side_of(loaded["input_ids"]), at_most=True)


def greatest_of(tokenizer: str | Tokenizer) -> int:
    """Return the greatest token of a tokenizer, −1 if its size is unknown or it is not on this machine."""
    try:
        tokenizer = load_tokenizer(tokenizer)
    except DistillError:  # a run raises it; the check works without the data
        return -1
    return len(tokenizer) - 1 if isinstance(tokenizer, Sized) else -1
