"""Models in GGUF files, llama.cpp's format, with their weights dequantized."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from distill_core.errors import DistillError


def gguf_options(name_or_path: str | Path, gguf_file: str | None) -> dict[str, Any]:
    """Return the options of transformers that select a GGUF file; none without a file.

    Raises:
        DistillError: The package `gguf` is not installed, or a local folder does not have the file.
    """
    if gguf_file is None:
        return {}
    if find_spec("gguf") is None:
        message = f"reading '{gguf_file}' requires the package gguf, which is not installed"
        raise DistillError(message, hint="pip install gguf")
    folder = Path(name_or_path).expanduser()
    if folder.is_dir() and not (folder / gguf_file).is_file():
        files = ", ".join(sorted(file.name for file in folder.glob("*.gguf"))) or "none"
        message = f"{folder} has no '{gguf_file}'; its GGUF files: {files}"
        raise DistillError(message)
    return {"gguf_file": gguf_file}


def dequantized() -> dict[str, Any]:
    """Return the option of transformers that dequantizes the weights of a GGUF file; older releases always do so."""
    import transformers

    config = getattr(transformers, "GgufConfig", None)
    return {} if config is None else {"quantization_config": config(dequantize=True)}
