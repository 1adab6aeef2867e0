"""Example batches without content, and checks of models, for checking an experiment without its data."""

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
    """A batch on the meta device; takes what `text_classification` takes."""
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
    """The fields that a tokenizer gives, (rows, length), on the meta device."""
    names = getattr(find_tokenizer(tokenizer), "model_input_names", ["input_ids", "attention_mask"])
    return {name: torch.zeros(rows, length, dtype=torch.long, device="meta") for name in names}


def check_of_texts(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    *,
    max_length: int,
    tokenizer: str | Tokenizer,
    tokenizers: Mapping[str, str | Tokenizer] | None = None,
) -> str:
    """Check that a model can read texts that are cut to `max_length`, as `check_readable` does without the data."""
    found = {"input_ids": find_tokenizer(tokenizer)}
    found |= {f"{prefix}_input_ids": find_tokenizer(other) for prefix, other in (tokenizers or {}).items()}
    padding = {field: int(each.pad_token_id or 0) for field, each in found.items()}
    extents = {field: Extent(max_length, greatest_of(each)) for field, each in found.items()}
    return check_readable(name, model, inputs, extents, padding, side_of(found["input_ids"]), at_most=True)


def greatest_of(tokenizer: str | Tokenizer) -> int:
    """Return the greatest token of a tokenizer; −1 if it does not say how many it has, or is not on this machine."""
    try:
        tokenizer = load_tokenizer(tokenizer)
    except DistillError:  # a run raises it; an experiment can be checked without its data
        return -1
    return len(tokenizer) - 1 if isinstance(tokenizer, Sized) else -1
