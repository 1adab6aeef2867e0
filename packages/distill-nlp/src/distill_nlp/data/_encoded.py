"""Tokenised texts, and the tokenizers that produce them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, cast, final

import torch
from torch import Tensor, nn

from distill_core.data import GivenInputs
from distill_core.errors import DataError

from .._hub import check_settings
from ..tables import Columns, given_texts
from ._collate import PadCollate
from ._readable import check_readable, extents_of
from ._token_batches import batches_of, flat_tokens
from ._token_cache import Tokens, cached_tokens, key_of

_IS_TOKENIZER = re.compile(r"tokenizer|vocab|merges|spiece|sentencepiece|tekken|\.model$|\.tiktoken$|\.codes$")
"""Pattern in the names of a tokenizer's files."""


class Tokenizer(Protocol):
    """Interface of the tokenizers of transformers."""

    pad_token_id: int | None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return the tokens and masks of texts or of pairs of texts."""


def find_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return the tokenizer itself, or load it from a local folder, a GGUF file or by a name that transformers knows.

    If a tokenizer has no padding token (GPT-2, Llama), its padding token is set to its end token. That is safe for models
    that read `attention_mask`. Targets are ignored by position, so the end token of a text still counts.

    Raises:
        DataError: No tokenizer has that name, or it has neither a padding token nor an end token.
    """
    loaded: Any = load_tokenizer(tokenizer)
    if loaded.pad_token_id is None:
        end = getattr(loaded, "eos_token_id", None)
        if end is None:
            message = f"{type(loaded).__name__} has neither a padding token nor an end token"
            raise DataError(message, hint="set its pad_token")
        loaded.pad_token_id = end
    return cast(Tokenizer, loaded)


def load_tokenizer(tokenizer: str | Tokenizer) -> Tokenizer:
    """Return the tokenizer itself, or load it, without setting a padding token.

    Raises:
        DataError: No tokenizer has that name.
        TrustError: A file of its folder loads code.
    """
    if not isinstance(tokenizer, str):
        return tokenizer
    check_settings(tokenizer)
    from transformers import AutoTokenizer

    folder = Path(tokenizer).expanduser()
    source: dict[str, str] = {}
    if folder.suffix == ".gguf" and folder.is_file():
        tokenizer, source = str(folder.parent), {"gguf_file": folder.name}
    if folder.is_dir() and not any(_IS_TOKENIZER.search(file.name) for file in folder.iterdir()):
        # from config.json alone transformers would build a tokenizer without vocabulary
        message = f"{folder} has no tokenizer"
        raise DataError(message, hint="give a folder that a tokenizer's save_pretrained wrote")
    try:
        loaded: Tokenizer = AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False, **source)
    except ImportError as error:
        message = f"the tokenizer '{tokenizer}' cannot be read: {next(iter(str(error).strip().splitlines()), '')}"
        raise DataError(message, hint="pip install gguf" if source else "install what it requires") from error
    except (OSError, ValueError) as error:
        message = f"the tokenizer '{tokenizer}' does not exist locally and could not be downloaded"
        raise DataError(message, hint="give a folder with a tokenizer") from error
    return loaded


@final
class EncodedTexts:
    """Texts or pairs of texts, tokenised once. A sample is a dict of `input_ids`, `attention_mask` … and `target`.

    Args:
        texts: One or two lists of texts of equal length.
        targets: A class index, a score or a list of numbers for each text, None without targets.
        tokenizer: The tokenizer.
        max_length: Number of tokens to which longer texts are truncated.
        labels: The class names in order, None for scores.
        others: Further tokenizers by name, for models with a different vocabulary. The fields of `teacher` are
            `teacher_input_ids`, `teacher_attention_mask` …
        max_lengths: Further tokenizer → its `max_length`, if that differs.
        cache: A folder that caches the tokens.
        columns: The columns of the texts in tables, each with its possible names, for predictions of other texts.

    Attributes:
        tokenizer: The tokenizer.
        lengths: (samples,) int64, number of tokens.

    Raises:
        DataError: The tokenizers pad on different sides, or a text has no tokens.
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
        max_lengths: Mapping[str, int] | None = None,
        cache: str | Path | None = None,
        columns: Columns = (),
    ) -> None:
        self.columns = tuple(tuple(names) for names in columns) or tuple(() for _ in texts)
        self.max_length, self.others, self.max_lengths = max_length, dict(others or {}), dict(max_lengths or {})
        self.labels = tuple(labels) if labels is not None else None
        self.tokenizer = tokenizer
        self.targets = list(targets) if targets is not None else None
        self.fields, self.lengths = _fields(texts, tokenizer, max_length, cache)
        _check_not_empty(texts, self.lengths)
        padding = padding_of(tokenizer, self.fields)
        side = side_of(tokenizer)
        for name, other in self.others.items():
            if side_of(other) != side:
                message = f"the tokenizer '{name}' pads on the {side_of(other)}, the first one on the {side}"
                raise DataError(message, hint="set the same padding_side for both")
            fields, lengths = _fields(texts, other, self.max_lengths.get(name, max_length), cache)
            _check_not_empty(texts, lengths)
            self.fields |= {f"{name}_{field}": rows for field, rows in fields.items()}
            padding |= {f"{name}_{field}": value for field, value in padding_of(other, fields).items()}
        self.collate = PadCollate(padding, side=side)

    def __len__(self) -> int:
        return len(self.lengths)

    def check_model(self, name: str, model: nn.Module, inputs: Mapping[str, str]) -> None:
        """Raise `DataError` if a model cannot read these texts."""
        check_readable(name, model, inputs, extents_of(self.fields, inputs), self.collate.padding, self.collate.side)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample without padding."""
        sample: dict[str, Any] = {name: rows[index] for name, rows in self.fields.items()}
        return sample if self.targets is None else sample | {"target": self.targets[index]}

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return texts, or pairs of them, as samples without targets."""
        given = given_texts(paths, texts, self.columns)
        dataset = EncodedTexts(
            given.columns, None, self.tokenizer, self.max_length, others=self.others, max_lengths=self.max_lengths
        )
        several = bool(self.targets) and isinstance(self.targets[0], list)  # type: ignore[index]
        outputs: Literal["class", "labels", "value"] = "labels" if several else "class"
        return GivenInputs(inputs=given.inputs, dataset=dataset, outputs="value" if self.labels is None else outputs)


def _check_not_empty(texts: Sequence[list[str]], lengths: Tensor) -> None:
    """Refuse texts without tokens: a tokenizer without special tokens returns none for an empty text."""
    empty = (lengths == 0).nonzero().flatten().tolist()
    if empty:
        shown = [column[empty[0]] for column in texts]
        message = f"text {empty[0] + 1} of {len(lengths)} has no tokens: {shown}"
        raise DataError(message, hint="remove empty texts")


def _fields(
    texts: Sequence[list[str]], tokenizer: Tokenizer, max_length: int, cache: str | Path | None
) -> tuple[dict[str, Sequence[Tensor]], Tensor]:
    """Return the tokens of each sample by field, and their numbers."""

    def tokenise() -> Tokens:
        return _tokens(texts, tokenizer, max_length)

    key = None if cache is None else key_of(texts, tokenizer, max_length)
    tokens = dict(tokenise() if cache is None or key is None else cached_tokens(cache, key, tokenise))
    lengths = tokens.pop("lengths")
    return {name: torch.split(flat.long(), lengths.tolist()) for name, flat in tokens.items()}, lengths


def side_of(tokenizer: Tokenizer) -> Literal["left", "right"]:
    """Return the side that a tokenizer pads."""
    side: Literal["left", "right"] = getattr(tokenizer, "padding_side", "right")
    return side


def padding_of(tokenizer: Tokenizer, fields: Mapping[str, Any]) -> dict[str, int]:
    """Return the padding value of each field."""
    padding = dict.fromkeys(fields, 0) | {"input_ids": int(tokenizer.pad_token_id or 0)}
    if "token_type_ids" in padding:
        padding["token_type_ids"] = int(getattr(tokenizer, "pad_token_type_id", 0))
    return padding


def _tokens(texts: Sequence[list[str]], tokenizer: Tokenizer, max_length: int) -> Tokens:
    """Return all tokens of each field, concatenated, and the `lengths` of the texts."""
    check_max_length(tokenizer, max_length, pair=len(texts) > 1)
    return flat_tokens(tokenizer(*batch, truncation=True, max_length=max_length) for batch in batches_of(texts))


def check_max_length(tokenizer: Any, max_length: int, *, pair: bool = False) -> None:
    """Refuse a length without room for text, with which a tokenizer does not truncate at all.

    Raises:
        DataError: `max_length` is not greater than the number of special tokens.
    """
    special = tokenizer.num_special_tokens_to_add(pair=pair) if hasattr(tokenizer, "num_special_tokens_to_add") else 0
    if max_length <= special:
        message = f"`max_length` must be > {special}, the number of special tokens, got {max_length}"
        raise DataError(message)


def num_labels(texts: Any) -> int:
    """Return the number of outputs that a model of these data needs: one per class, or one for a score.

    Args:
        texts: A loader of texts, its dataset, or the name of a GLUE task.

    >>> num_labels("mnli"), num_labels("stsb")
    (3, 1)

    Raises:
        DataError: The dataset has no attribute `labels`.
    """
    if isinstance(texts, str):
        from ._glue_tasks import glue_task

        return glue_task(texts).num_labels
    dataset = getattr(texts, "dataset", texts)
    if not hasattr(dataset, "labels"):
        message = f"{type(dataset).__name__} has no attribute `labels`"
        raise DataError(message)
    return len(dataset.labels) if dataset.labels is not None else 1
