"""What completions and conversations have in common: rows of a split, loaders of padded or packed samples, and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from distill_core.data import Loader, Vocabulary
from distill_core.errors import DataError

from .._encoded import Tokenizer
from .._example import example_of_tokens, greatest_of
from .._grouped import loader_of_texts
from .._isolation import check_isolation, require_positions
from .._readable import Extent, check_readable
from .._vocabularies import TokenSet, token_set, vocabulary_of
from ._packed import PackedSamples
from ._prompts import PromptFormat
from ._samples import TokenSequences, check_lengths


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


@dataclass
class EncodedSamples:
    """Samples by field: `input_ids` and `target`, and with a second tokenizer the same as `teacher_…`.

    Attributes:
        fields: Field → one tensor (tokens,) per sample.
        padding: Field of input tokens → its padding token.
        tokens: Field of input tokens → the tokens of its tokenizer.
        prompts: The format of prompts, for predictions.
    """

    fields: dict[str, list[Tensor]] = field(default_factory=dict)
    padding: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, TokenSet | None] = field(default_factory=dict)
    prompts: PromptFormat | None = None

    def add(self, prefix: str, samples: Sequence[tuple[Tensor, Tensor]], tokenizer: Tokenizer) -> None:
        """Add the inputs and targets that a tokenizer gave."""
        inputs, targets = zip(*samples, strict=True)
        self.fields |= {f"{prefix}input_ids": list(inputs), f"{prefix}target": list(targets)}
        self.padding[f"{prefix}input_ids"] = int(tokenizer.pad_token_id or 0)
        self.tokens[f"{prefix}input_ids"] = token_set(tokenizer)

    def loader(self, layout: Layout, batch_size: int, split: str, *, shuffle: bool | None, num_workers: int) -> Loader:
        """Return a loader of the samples, padded on the right or packed. By default the training split is shuffled."""
        shuffle = split in ("train", "all") if shuffle is None else shuffle
        if not layout.packed:
            dataset = TokenSequences(self.fields, self.padding, layout.pad_to, tokens=self.tokens)
            dataset.prompts = self.prompts
            return loader_of_texts(dataset, batch_size, shuffle, num_workers, layout.group_by_length)
        name, inputs, targets = "input_ids", self.fields["input_ids"], self.fields["target"]
        blocks = PackedSamples(inputs, targets, layout.max_length, self.padding[name], tokens=self.tokens[name])
        blocks.prompts = self.prompts
        return Loader(blocks, batch_size, shuffle=shuffle, num_workers=num_workers)


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
