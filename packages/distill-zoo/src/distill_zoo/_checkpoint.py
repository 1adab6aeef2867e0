"""Tensors out of a file of weights, whatever a training script wrapped them in, without running any code in it."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import ZooError
from ._optional import optional
from ._safetensors import read_safetensors
from ._sniff import ZIP, require_format

if TYPE_CHECKING:
    from torch import Tensor

INSIDE = ("model", "state_dict", "model_state_dict", "student", "student_model", "net", "network")
"""Where in a training script's checkpoint the weights are, in the order in which to look."""
BEFORE = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""


def read_state_dict(name: str, path: Path) -> dict[str, Tensor]:
    """The tensors in a file by name, on the CPU.

    A training script's checkpoint gives its model's weights; what else is in it is left. Names lose the `module.` of
    DataParallel.

    Args:
        name: What to call the model in an error.

    Raises:
        ZooError: The file holds something else, or something that only running code could read.
    """
    content = _read(name, path)
    torch = optional("torch", f"{name} is read with torch")
    inner = next((content[key] for key in INSIDE if _is_weights(torch, content.get(key))), content)
    if not _is_weights(torch, inner):
        message = f"{name}: {path} holds {_describe(torch, inner)}, not tensors by name"
        raise ZooError(message)
    return {key: _plain(torch, name, path, key, tensor) for key, tensor in _without_prefix(inner).items()}


def _read(name: str, path: Path) -> dict[str, Any]:
    safe = path.suffix == ".safetensors"
    torch = optional("torch", f"{name} is read with torch")
    try:
        require_format(name, path, "safetensors" if safe else "torch")
        if safe:
            return dict(read_safetensors(path))
        _refuse_bomb(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's own text suggests loading unsafely
        message = f"{name}: {path} is not a file of weights that can be read without running code{_reason(error, path)}"
        raise ZooError(message) from error
    if not isinstance(content, Mapping):
        message = f"{name}: {path} holds {type(content).__name__}, not tensors by name"
        raise ZooError(message)
    return dict(content)


def _reason(error: Exception, path: Path) -> str:
    if isinstance(error, ZooError | ValueError):
        return ": " + str(error).rpartition(f"{path} ")[2].rpartition("file: ")[2]
    if isinstance(error, zipfile.BadZipFile | EOFError) or _is_damaged(path):
        return ": it is cut short or damaged"
    wanted = _foreign(path)
    return f": it wants {wanted[0]}" if wanted else ""


def _is_damaged(path: Path) -> bool:
    """Whether the parts of an archive differ from their checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except (OSError, zipfile.BadZipFile):
        return False


def _foreign(path: Path) -> list[str]:
    """Return the sorted names of what the file would load besides tensors and settings, without loading it."""
    from torch.serialization import get_unsafe_globals_in_checkpoint

    try:
        return sorted(set(get_unsafe_globals_in_checkpoint(path)) - {"argparse.Namespace"})
    except Exception:  # noqa: BLE001  damaged in one way or another
        return []


def _refuse_bomb(path: Path) -> None:
    """Archives of torch.save are not compressed: what is in them is not larger than they are."""
    with path.open("rb") as file:
        if not file.read(4).startswith(ZIP):
            return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if compressed or sum(entry.file_size for entry in entries) > path.stat().st_size:
        message = "it is an archive that would grow"
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
        return "nothing"
    shown = ", ".join(f"'{key}'" for key in other[:5]) + (", …" if len(other) > 5 else "")
    return f"{type(content).__name__} with {shown}"


def _without_prefix(weights: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(weights)
    while prefix := next((each for each in BEFORE if all(key.startswith(each) for key in found)), ""):
        found = {key.removeprefix(prefix): value for key, value in found.items()}
    return found


def _plain(torch: Any, name: str, path: Path, key: str, tensor: Tensor) -> Tensor:
    """The tensor itself; refused if it is not a plain one, or pretends to be larger than what is in the file."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized
    if not plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        message = f"{name}: {path}: '{key}' is not a plain tensor with all its numbers in the file"
        raise ZooError(message)
    return tensor.detach()
