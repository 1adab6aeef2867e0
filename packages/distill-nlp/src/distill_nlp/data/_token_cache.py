"""Tokens kept on disk, under a name that is the hash of all they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from distill_core.weights import write_tensors

Tokens = dict[str, Tensor]


def kept(folder: str | Path, key: str, make: Callable[[], Tokens]) -> Tokens:
    """The tokens under `key`, made and kept if they are not there or are damaged.

    Several processes may do the same at a time: the file appears whole, and whichever is last stays.
    """
    path = Path(folder).expanduser() / f"tokens-{key}.safetensors"
    if path.is_file():
        try:
            return load_file(path)
        except (OSError, SafetensorError):
            pass  # made anew
    tokens = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    write_tensors(tokens, unfinished)
    os.replace(unfinished, path)
    return tokens


def key_of(texts: Sequence[Sequence[str]], tokenizer: Any, max_length: int) -> str | None:
    """A hash of texts, tokenizer and length; nothing for a tokenizer that cannot be written down."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    # What it was last asked to cut and fill up is written with it, and is no part of it.
    written = json.loads(backend.to_str()) | {"truncation": None, "padding": None}
    digest = hashlib.sha256(json.dumps(written, sort_keys=True).encode())
    names = list(getattr(tokenizer, "model_input_names", []))
    sides = [getattr(tokenizer, "truncation_side", ""), getattr(tokenizer, "padding_side", "")]
    digest.update(json.dumps([type(tokenizer).__name__, names, sides, max_length]).encode())
    for column in texts:
        digest.update(f"{len(column)}:".encode())
        for text in column:
            part = text.encode()
            digest.update(f"{len(part)}:".encode() + part)
    return digest.hexdigest()[:32]
