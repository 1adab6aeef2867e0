"""Download from and upload to the Hugging Face Hub, through huggingface_hub and its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._card import Card
from ._errors import ZooError
from ._fetch import require_https
from ._optional import optional
from ._settings import is_hub_offline


def hub_file(card: Card, *, local: bool = False) -> Path:
    """Return the path of the card's file in huggingface_hub's cache, downloaded if it is missing.

    Args:
        local: Do not download the file.

    Raises:
        ZooError: huggingface_hub is not installed, or the file is missing and cannot be downloaded.
    """
    hub = _hub(card.name)
    weights = card.weights
    offline = local or is_hub_offline()
    if not offline:
        require_https(hub.constants.ENDPOINT)
    try:
        path = hub.hf_hub_download(
            weights.repo, weights.file, revision=weights.revision or None, local_files_only=offline
        )
    except (hub.errors.LocalEntryNotFoundError, hub.errors.OfflineModeIsEnabled) as error:
        if not offline:
            raise _problem(card, error) from error
        message = f"{card.name}: {weights.origin} is not in the cache of huggingface_hub, and downloads are disabled"
        hint = f"run 'hf download {weights.repo} {weights.file}' on a machine with network access"
        raise ZooError(message, hint=hint) from error
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        raise _problem(card, error) from error
    return Path(path)


def push_folder(folder: Path, repo: str, *, private: bool, message: str) -> str:
    """Upload a folder to a repository, created if it does not exist, and return the URL of the commit.

    Raises:
        ZooError: huggingface_hub is not installed, the network is disabled, or the upload failed.
    """
    if is_hub_offline():
        problem = f"{folder} cannot be pushed to {repo} while DISTILL_OFFLINE or HF_HUB_OFFLINE is set"
        raise ZooError(problem)
    hub = _hub(repo)
    require_https(hub.constants.ENDPOINT)
    api = hub.HfApi()
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message=message)
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        problem = f"pushing {folder} to {repo} failed: {_first_line(error)}"
        raise ZooError(problem, hint="log in with 'hf auth login'") from error
    return str(commit.commit_url)


def snapshot(repo: str, revision: str, files: list[str]) -> Path:
    """Return a local folder with some files of a repository, downloaded if they are missing.

    Raises:
        ZooError: See `hub_file`.
    """
    hub = _hub(repo)
    if not is_hub_offline():
        require_https(hub.constants.ENDPOINT)
    try:
        folder = hub.snapshot_download(
            repo, revision=revision or None, allow_patterns=files, local_files_only=is_hub_offline()
        )
    except (OSError, ValueError, hub.errors.HfHubHTTPError) as error:
        message = f"downloading {repo} from the Hugging Face Hub failed: {_first_line(error)}"
        raise ZooError(message) from error
    return Path(folder)


def _hub(name: str) -> Any:
    hub = optional("huggingface_hub", f"downloading {name} from the Hugging Face Hub requires huggingface_hub")
    optional("huggingface_hub.errors", f"downloading {name} from the Hugging Face Hub requires huggingface_hub")
    optional("huggingface_hub.constants", f"downloading {name} from the Hugging Face Hub requires huggingface_hub")
    return hub


def _problem(card: Card, error: Exception) -> ZooError:
    message = f"{card.name}: downloading {card.weights.origin} failed: {_first_line(error)}"
    return ZooError(message, hint="check the network and try again")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
