"""Check of the settings of models and tokenizers before transformers reads them."""

from __future__ import annotations

from pathlib import Path

from distill_core.config import check_model_folder

_SETTINGS = ["*config*.json", "custom_generate/*.py"]


def check_settings(name_or_path: str | Path, revision: str | None = None) -> None:
    """Refuse a model or tokenizer whose settings load code. For a name on the hub, only the settings are downloaded.

    A failed download is ignored here, because loading the model reports it.

    Args:
        name_or_path: A folder, or a name on the hub.
        revision: A commit on the hub.

    Raises:
        TrustError: A file loads code. The message names the file and the key.
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
