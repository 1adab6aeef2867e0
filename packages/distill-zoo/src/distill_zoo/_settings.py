"""Settings from environment variables: cache folder, offline mode, mirrors."""

from __future__ import annotations

import os
from pathlib import Path

from ._errors import ZooError

_NO = {"", "0", "false", "no", "off"}


def home() -> Path:
    """Return the folder `DISTILL_HOME`, which defaults to `~/.cache/distill`."""
    return Path(os.environ.get("DISTILL_HOME") or "~/.cache/distill").expanduser()


def cache_folder() -> Path:
    """Return the folder that caches weight files."""
    return home() / "weights"


def is_offline() -> bool:
    """Return whether `DISTILL_OFFLINE` disables the network."""
    return os.environ.get("DISTILL_OFFLINE", "").lower() not in _NO


def is_hub_offline() -> bool:
    """Return whether `DISTILL_OFFLINE` or `HF_HUB_OFFLINE` disables the Hugging Face Hub."""
    return is_offline() or os.environ.get("HF_HUB_OFFLINE", "").lower() not in _NO


def mirrors() -> list[str]:
    """Return the URLs in `DISTILL_ZOO_MIRROR`, separated by commas or spaces, which are tried before the original.

    A mirror is a copy of a cache folder: `<mirror>/<name of the card>/<name of the file>`.

    Raises:
        ZooError: A URL is not https.
    """
    urls = os.environ.get("DISTILL_ZOO_MIRROR", "").replace(",", " ").split()
    for url in urls:
        if not url.startswith("https://"):
            message = f"DISTILL_ZOO_MIRROR: {url} must be an https URL"
            raise ZooError(message)
    return [url.rstrip("/") for url in urls]
