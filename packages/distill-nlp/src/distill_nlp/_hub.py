"""Settings of models and tokenizers, read before transformers acts on them."""

from __future__ import annotations

from pathlib import Path

from distill_core.config import check_model_folder

_SETTINGS = ["*config*.json", "custom_generate/*.py"]


def check_settings(name_or_path: str | Path, revision: str | None = None) -> None:
    """Refuse a model or tokenizer whose settings load code; of a name on the hub the settings alone are downloaded.

    What cannot be downloaded passes: loading it gives the reason.

    Args:
        name_or_path: A folder, or a name on the hub.
        revision: A commit on the hub.

    Raises:
        TrustError: A file loads code; the message names file, key and remedy.
    """
    if Path(name_or_path).expanduser().exists():
        check_model_folder(name_or_path)
        return
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(str(name_or_path), revision=revision, allow_patterns=_SETTINGS)
    except (OSError, ValueError):
        return
    check_model_folder(folder)
