"""Cache of tokens on disk, keyed by a hash of texts and tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distill_core.weights import write_tensors

from .._atomic import atomic_path

Tokens = dict[str, Tensor]


def cached_tokens(folder: str | Path, key: str, tokenise: Callable[[], Tokens]) -> Tokens:
    """Return the tokens under `key`. Tokenise and cache them if the file is missing or damaged.

    Several processes may write the same file at the same time.
    """
    path = Path(folder).expanduser() / f"tokens-{key}.safetensors"
    if path.is_file():
        try:
            return load_file(path)
        except (OSError, SafetensorError):
            pass  # written again below
    tokens = tokenise()
    with atomic_path(path) as unfinished:
        write_tensors(tokens, unfinished)
    return tokens


def key_of(texts: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> str | None:
    """Return a hash of texts, tokenizer and length, None for a tokenizer that cannot be serialised."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    # The serialised truncation and padding are those of the last call and do not belong to the tokenizer.
    serialised = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    digest = hashlib.sha256(json.dumps(serialised, sort_keys=True).encode())
    names = list(getattr(tokenizer, "model_input_names", []))
    sides = [getattr(tokenizer, "truncation_side", ""), getattr(tokenizer, "padding_side", "")]
    digest.update(json.dumps([type(tokenizer).__name__, names, sides, max_length]).encode())
    for column in texts:
        digest.update(f"{len(column)}:".encode())
        for text in column:
            encoded = text.encode()
            digest.update(f"{len(encoded)}:".encode() + encoded)
    return digest.hexdigest()[:32]
