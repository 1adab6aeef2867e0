"""Safe loading of weight files and training checkpoints: no code in a file is run."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import ZooError
from ._optional import optional
from ._safetensors import read_safetensors
from ._sniff import ZIP, format_mismatch

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT_KEYS = ("model", "state_dict", "model_state_dict", "student", "student_model", "net", "network")
"""Keys under which training checkpoints keep the weights, in the order of the search."""
PREFIXES = ("module.", "_orig_mod.")
"""Prefixes that DataParallel and torch.compile add to every name."""


def read_state_dict(name: str, path: Path) -> dict[str, Tensor]:
    """Return the tensors in a file by name, on the CPU.

    Of a training checkpoint only the model's weights are returned. The prefix `module.` of DataParallel is removed.

    Args:
        name: The model's name, for error messages.

    Raises:
        ZooError: The file is not a mapping of names to tensors, or cannot be read without running code.
    """
    content = _read(name, path)
    torch = optional("torch", f"reading {name} requires torch")
    inner = next((content[key] for key in WEIGHT_KEYS if _is_weights(torch, content.get(key))), content)
    if not _is_weights(torch, inner):
        message = f"{name}: {path} must hold a mapping of names to tensors, got {_describe(torch, inner)}"
        raise ZooError(message)
    return {key: _plain(torch, name, path, key, tensor) for key, tensor in _without_prefix(inner).items()}


def _read(name: str, path: Path) -> dict[str, Any]:
    safe = path.suffix == ".safetensors"
    torch = optional("torch", f"reading {name} requires torch")
    try:
        if mismatch := format_mismatch(path, "safetensors" if safe else "torch"):
            raise ValueError(mismatch)
        if safe:
            return dict(read_safetensors(path))
        _refuse_bomb(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own message suggests loading unsafely
        message = f"{name}: {path} is not a weight file that can be read without running code{_reason(error, path)}"
        raise ZooError(message) from error
    if not isinstance(content, Mapping):
        message = f"{name}: {path} must hold a mapping of names to tensors, got {type(content).__name__}"
        raise ZooError(message)
    return dict(content)


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, ValueError):
        return f": {error}"
    if isinstance(error, zipfile.BadZipFile | EOFError) or _is_damaged(path):
        return ": it is truncated or damaged"
    globals_ = _foreign_globals(path)
    return f": it would call {globals_[0]}" if globals_ else ""


def _is_damaged(path: Path) -> bool:
    """Return whether a file in the archive does not match its checksum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (OSError, zipfile.BadZipFile):
        return False


def _foreign_globals(path: Path) -> list[str]:
    """Return the sorted names of the globals that the file would load besides tensors, without loading it."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        return sorted(set(get_unsafe_globals_in_checkpoint(path)) - {"argparse.Namespace"})
    except Exception:  # noqa: BLE001 - a damaged file can raise anything
        return []


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that unpacks to more than its size: torch.save does not compress."""
    with path.open("rb") as file:
        if not file.read(4).startswith(ZIP):
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        message = "it is a compressed archive"
        raise ValueError(message)


def _is_weights(torch: Any, content: Any) -> bool:
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and all(isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items())
    )


def _describe(torch: Any, content: Mapping[Any, Any]) -> str:
    other = [str(key) for key, value in content.items() if not isinstance(value, torch.Tensor)]
    if not content:
        return "an empty mapping"
    shown = ", ".join(f"'{key}'" for key in other[:5]) + (", …" if len(other) > 5 else "")
    return f"{type(content).__name__} with {shown}"


def _without_prefix(weights: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(weights)
    while prefix := next((each for each in PREFIXES if all(key.startswith(each) for key in plain)), ""):
        plain = {key.removeprefix(prefix): value for key, value in plain.items()}
    return plain


def _plain(torch: Any, name: str, path: Path, key: str, tensor: Tensor) -> Tensor:
    """Return the tensor, detached. Refuse a tensor that is sparse, quantized or larger than its data in the file."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        message = f"{name}: {path}: '{key}' is not a dense tensor with all its values in the file"
        raise ZooError(message)
    return tensor.detach()
