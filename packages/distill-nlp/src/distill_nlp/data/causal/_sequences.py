"""Layout of the samples of completions and conversations, their example batch, and checks of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from distill_core.data import Vocabulary
from distill_core.errors import DataError

from .._encoded import Tokenizer
from .._example import example_of_tokens, greatest_of
from .._isolation import check_isolation, require_positions
from .._readable import Extent, check_readable
from .._vocabularies import token_set, vocabulary_of
from ._samples import check_lengths


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How samples form batches.

    Attributes:
        max_length: Maximum number of positions of a sample, and that of a packed block.
        packed: Pack several samples into one block.
        pad_to: Number of positions in every batch. Defaults to those of the longest sample.
        group_by_length: Put samples of similar length into one batch.

    Raises:
        DataError: A length is below 1, or packed samples have options of padded ones.
    """

    max_length: int
    packed: bool = False
    pad_to: int | None = None
    group_by_length: bool = False

    def __post_init__(self) -> None:
        check_lengths(max_length=self.max_length, pad_to=self.pad_to)
        given = {"pad_to": self.pad_to is not None, "group_by_length": self.group_by_length}
        if wrong := [name for name, is_given in given.items() if is_given and self.packed]:
            message = f"`{wrong[0]}` is for samples that are not packed: blocks have `max_length` positions"
            raise DataError(message, hint=f"omit `{wrong[0]}`, or set `packed: false`")


def example_of_sequences(
    batch_size: int,
    max_length: int,
    packed: bool,
    pad_to: int | None,
    group_by_length: bool,
    teacher_tokenizer: str | Tokenizer | None = None,
) -> dict[str, Tensor]:
    """Return a batch on the meta device.

    Raises:
        DataError: The options do not fit.
    """
    Layout(max_length=max_length, packed=packed, pad_to=pad_to, group_by_length=group_by_length)
    batch = example_of_tokens(batch_size, max_length)
    if packed:
        batch["position_ids"] = batch["target"]
    return batch if teacher_tokenizer is None else batch | example_of_tokens(batch_size, max_length, "teacher_")


def check_sequences(
    name: str,
    model: nn.Module,
    inputs: Mapping[str, str],
    max_length: int,
    pad_to: int | None,
    *,
    packed: bool,
    tokenizer: str | Tokenizer,
    teacher_tokenizer: str | Tokenizer | None = None,
) -> str:
    """Check that a model can read samples of at most `max_length` positions, or blocks; see `check_readable`."""
    fields = {"input_ids": tokenizer, "teacher_input_ids": teacher_tokenizer}
    exact = max_length if packed else pad_to
    if exact is not None:
        check_readable(name, model, inputs, {each: Extent(exact) for each in fields}, {}, "right")
    if packed:
        require_positions(name, model, inputs)
        check_isolation(name, model, inputs)
    extents = {each: Extent(max_length, greatest_of(given)) for each, given in fields.items() if given is not None}
    return check_readable(name, model, inputs, extents, {}, "right", at_most=True)


def vocabulary_of_sequences(
    model: nn.Module,
    inputs: Mapping[str, str],
    *,
    tokenizer: str | Tokenizer,
    teacher_tokenizer: str | Tokenizer | None = None,
) -> Vocabulary | None:
    """Return the vocabulary of a model that reads samples of one tokenizer or two; see `vocabulary_of`."""
    given = {"input_ids": tokenizer, "teacher_input_ids": teacher_tokenizer}
    tokens = {each: token_set(tokens) for each, tokens in given.items() if tokens is not None}
    return vocabulary_of(model, inputs, tokens)
