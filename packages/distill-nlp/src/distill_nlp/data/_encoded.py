"""Texts as tokens."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast, final

import torch
from torch import Tensor, nn

from distill_core.errors import DataError

from .._hub import check_settings
from ._collate import PadCollate
from ._readable import check_readable, extents_of
from ._token_cache import Tokens, kept, key_of

_IS_TOKENIZER = re.compile(r"tokenizer|vocab|merges|spiece|sentencepiece|tekken|\.model$|\.tiktoken$|\.codes$")
"""What the names of a tokenizer's files have in common."""


class Tokenizer(Protocol):
    """What is asked of a tokenizer: those of transformers have it."""

    pad_token_id: int | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Token numbers and masks of texts, or of pairs of texts."""


def find_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return the tokenizer itself, or the one in a local folder or of a name that transformers knows.

    A tokenizer without a padding token (GPT-2, Llama) pads with its end token, from then on wherever it is used. That is
    safe for models that read `attention_mask`, and targets are ignored by position, so the end token of a text still
    counts.

    Raises:
        DataError: There is none of that name, or it has neither a padding token nor an end token.
    """
    found: Any = load_tokenizer(tokenizer)
    if found.pad_token_id is None:
        end = getattr(found, "eos_token_id", None)
        if end is None:
            message = f"{type(found).__name__} has neither a padding token nor an end token\n  hint: set its pad_token"
            raise DataError(message)
        found.pad_token_id = end
    return cast(Tokenizer, found)


def load_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """The same, with a padding token or without.

    Raises:
        DataError: There is none of that name.
        TrustError: A file of its folder loads code.
    """
    if not isinstance(tokenizer, str):
        return tokenizer
    check_settings(tokenizer)
    from transformers import AutoTokenizer

    folder = Path(tokenizer).expanduser()
    if folder.is_dir() and not any(_IS_TOKENIZER.search(file.name) for file in folder.iterdir()):
        # transformers would make one without words of config.json alone
        message = f"{folder} has no tokenizer\n  hint: give a folder that a tokenizer's save_pretrained wrote"
        raise DataError(message)
    try:
        found: Tokenizer = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    except (OSError, ValueError) as error:
        message = f"there is no tokenizer '{tokenizer}' here and the hub did not give one\n  hint: give a folder that holds one"
        raise DataError(message) from error
    return found


@final
class EncodedTexts:
    """Texts, or pairs of them, tokenised once; a sample is a dict of `input_ids`, `attention_mask` … and `target`.

    Args:
        texts: One or two equally long lists of texts.
        targets: A class number, a score or a list of numbers for each; nothing if they are to be predicted.
        tokenizer: Gives the tokens.
        max_length: Longer texts are cut to this many tokens.
        labels: The classes in their order, if there are classes.
        others: Further tokenizers by name, for models that read other tokens; the fields of `teacher` are called
            `teacher_input_ids`, `teacher_attention_mask` …
        cache: A folder in which the tokens are kept for the next time.

    Attributes:
        tokenizer: The tokenizer.
        lengths: (samples,) int64, how many tokens each has.

    Raises:
        DataError: Tokenizers fill up batches at different sides, or a text has no tokens.
    """

    def __init__(
        self,
        texts: Sequence[list[str]],
        targets: Sequence[Any] | None,
        tokenizer: Tokenizer,
        max_length: int = 128,
        *,
        labels: Sequence[str] | None = None,
        others: Mapping[str, Tokenizer] | None = None,
        cache: str | Path | None = None,
    ) -> None:
        self.labels = tuple(labels) if labels is not None else None
        self.tokenizer = tokenizer
        self.targets = list(targets) if targets is not None else None
        self.fields, self.lengths = _fields(texts, tokenizer, max_length, cache)
        _check_not_empty(texts, self.lengths)
        padding = padding_of(tokenizer, self.fields)
        side = side_of(tokenizer)
        for name, other in (others or {}).items():
            if side_of(other) != side:
                message = f"the tokenizer '{name}' fills up at the {side_of(other)}, the first one at the {side}\n  hint: give both the same padding_side"
                raise DataError(message)
            fields, lengths = _fields(texts, other, max_length, cache)
            _check_not_empty(texts, lengths)
            self.fields |= {f"{name}_{field}": rows for field, rows in fields.items()}
            padding |= {f"{name}_{field}": number for field, number in padding_of(other, fields).items()}
        self.collate = PadCollate(padding, side=side)

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.fields, inputs), self.collate.padding, self.collate.side)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One sample, not padded."""
        sample: dict[str, Any] = {name: rows[index] for name, rows in self.fields.items()}
        return sample if self.targets is None else sample | {"target": self.targets[index]}


def _check_not_empty(texts: Sequence[list[str]], lengths: Tensor) -> None:
    """Refuse texts without a token, which a tokenizer that adds no special tokens makes of empty texts."""
    empty = (lengths == 0).nonzero().flatten().tolist()
    if empty:
        shown = [column[empty[0]] for column in texts]
        message = f"text {empty[0] + 1} of {len(lengths)} has no tokens: {shown}\n  hint: remove empty texts"
        raise DataError(message)


def _fields(
    texts: Sequence[list[str]], tokenizer: Tokenizer, max_length: int, cache: str | Path | None
) -> tuple[dict[str, Sequence[Tensor]], Tensor]:
    """Field → the tokens of each sample; how many those are."""

    def make() -> Tokens:
        return _tokens(texts, tokenizer, max_length)

    key = None if cache is None else key_of(texts, tokenizer, max_length)
    tokens = dict(make() if cache is None or key is None else kept(cache, key, make))
    lengths = tokens.pop("lengths")
    return {name: torch.split(flat.long(), lengths.tolist()) for name, flat in tokens.items()}, lengths


def side_of(tokenizer: Tokenizer) -> Literal["left", "right"]:
    """Return the side that a tokenizer pads at."""
    side: Literal["left", "right"] = getattr(tokenizer, "padding_side", "right")
    return side


def padding_of(tokenizer: Tokenizer, fields: Mapping[str, Any]) -> dict[str, int]:
    """Field → what it is filled up with."""
    padding = dict.fromkeys(fields, 0) | {"input_ids": int(tokenizer.pad_token_id or 0)}
    if "token_type_ids" in padding:
        padding["token_type_ids"] = int(getattr(tokenizer, "pad_token_type_id", 0))
    return padding


def _tokens(texts: Sequence[list[str]], tokenizer: Tokenizer, max_length: int) -> Tokens:
    """Field → all tokens one after another; `lengths` says where they are to be cut."""
    check_max_length(tokenizer, max_length, pair=len(texts) > 1)
    fields: dict[str, list[list[int]]] = dict(tokenizer(*texts, truncation=True, max_length=max_length))
    lengths = torch.tensor([len(row) for row in fields["input_ids"]])
    flat = {
        name: torch.tensor([token for row in rows for token in row], dtype=torch.int32) for name, rows in fields.items()
    }
    return {"lengths": lengths, **flat}


def check_max_length(tokenizer: Any, max_length: int, *, pair: bool = False) -> None:
    """Refuse a length that leaves no room for text: a tokenizer would then not cut at all.

    Raises:
        DataError: `max_length` is not greater than the number of special tokens.
    """
    special = tokenizer.num_special_tokens_to_add(pair=pair) if hasattr(tokenizer, "num_special_tokens_to_add") else 0
    if max_length <= special:
        message = f"`max_length` must be > {special}, the number of special tokens, got {max_length}"
        raise DataError(message)


def num_labels(texts: Any) -> int:
    """How many numbers a model of these data gives: one per class, or one score.

    Args:
        texts: A loader of texts, the data set itself, or the name of a task of GLUE.

    >>> num_labels("mnli"), num_labels("stsb")
    (3, 1)

    Raises:
        DataError: The data do not say.
    """
    if isinstance(texts, str):
        from ._glue_tasks import glue_task

        return glue_task(texts).num_labels
    dataset = getattr(texts, "dataset", texts)
    if not hasattr(dataset, "labels"):
        message = f"{type(dataset).__name__} does not say how many labels it has"
        raise DataError(message)
    return len(dataset.labels) if dataset.labels is not None else 1
