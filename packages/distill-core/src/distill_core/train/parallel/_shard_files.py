"""Files of sharded tensors: each process writes its shards, and reads the slices that it needs.

They are those of `torch.distributed.checkpoint` in the safetensors format: no pickle, one file for each process, whose
metadata has the offsets of its shards. Any number of processes can read them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor

from ...distributed import rank, world_size
from ...errors import TrainingError
from ...records import Fingerprint, fingerprint

if TYPE_CHECKING:
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader


@dataclass(frozen=True)
class StoredTensor:
    """A sharded tensor in a folder of shards. It is read once its owner is known.

    Attributes:
        folder: The folder.
        name: Its name there.
        shape: Its complete shape.
        dtype: Its dtype.
    """

    folder: Path
    name: str
    shape: torch.Size
    dtype: torch.dtype

    def target(self, owner: Any = None) -> Tensor:
        """Return an empty tensor for the part that `owner` has on this process, or for all of it."""
        if isinstance(owner, Tensor) and owner.shape == self.shape:
            return torch.empty_like(owner.detach(), dtype=self.dtype)
        return torch.empty(self.shape, dtype=self.dtype)


def read_stored(values: Mapping[Any, Any], owners: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return values with the stored tensors among them read: the part that the owner of the same key has on this process.

    Args:
        values: Anything by key.
        owners: Tensors by key; a stored tensor without one of its shape is read completely.
    """
    stored = {key: value for key, value in values.items() if isinstance(value, StoredTensor)}
    targets: dict[tuple[Path, str], Tensor] = {}
    for key, value in stored.items():  # tied tensors have one name
        targets.setdefault((value.folder, value.name), value.target(owners.get(key)))
    for folder in {folder for folder, _ in targets}:
        files = sorted(folder.glob("*.safetensors"))
        read_into({name: target for (at, name), target in targets.items() if at == folder}, files)
    return {**values, **{key: targets[value.folder, value.name] for key, value in stored.items()}}


def read_into(targets: Mapping[str, Tensor], files: Sequence[Path]) -> None:
    """Fill tensors, sharded or not, from safetensors files. Reads only what this process has of each."""
    from torch.distributed.checkpoint.state_dict_loader import load

    with warnings.catch_warnings():  # of a single process, which torch takes for a mistake
        warnings.simplefilter("ignore")
        load(dict(targets), storage_reader=_reader(files), no_dist=True)


def shapes_in(files: Sequence[Path]) -> dict[str, torch.Size]:
    """Return the complete shape of each tensor in safetensors files."""
    found: dict[str, Any] = _reader(files).read_metadata().state_dict_metadata
    return {name: entry.size for name, entry in found.items()}


def _reader(files: Sequence[Path]) -> HuggingFaceStorageReader:
    """Return a reader of these files only; others beside them may hold tensors of the same names."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    reader = HuggingFaceStorageReader(str(files[0].parent))
    listing: Any = _Listing([str(file) for file in files])
    reader.fs = listing
    return reader


class _Listing:
    def __init__(self, files: list[str]) -> None:
        self._files = files

    def ls(self, path: str) -> list[str]:
        del path
        return self._files


class ShardWriter:
    """Writes the shards of all processes, in a thread of each.

    Its process group is its own: the operations of the thread do not mix with those of the training. Creating it is a
    collective operation.
    """

    def __init__(self) -> None:
        from torch.distributed.device_mesh import init_device_mesh

        self._group: Any = dist.new_group(backend="gloo")
        self._mesh = init_device_mesh("cpu", (world_size(),))

    def copy(self, tensor: Tensor, buffer: Tensor | None) -> Tensor:
        """Return a copy of a sharded tensor in host memory, in the memory of an earlier copy if that fits."""
        from torch.distributed.tensor import DTensor

        if not isinstance(tensor, DTensor):
            message = "only sharded tensors are copied here"
            raise TypeError(message)
        own = tensor.to_local().detach()
        if isinstance(buffer, DTensor) and buffer.shape == tensor.shape and buffer.dtype == tensor.dtype:
            buffer.to_local().copy_(own)
            return buffer
        shape, stride = tensor.shape, tensor.stride()
        cpu = own.to("cpu", copy=True).contiguous()
        return DTensor.from_local(cpu, self._mesh, tensor.placements, run_check=False, shape=shape, stride=stride)

    def write(self, tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Fingerprint]:
        """Write this process's shards; in the main process, return size and SHA-256 of all files. A collective operation.

        Raises:
            TrainingError: A process cannot write its shards.
        """
        from torch.distributed.checkpoint.api import CheckpointException
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import save

        writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
        try:
            save(dict(tensors), storage_writer=writer, process_group=self._group)
        except CheckpointException as error:
            failed, (reason, _) = next(iter(error.failures.items()))
            message = f"process {failed} cannot write its shards to {folder}: {reason}"
            raise TrainingError(message) from error
        own = {file.name: fingerprint(file) for file in folder.glob(f"shard-{rank() + 1:05d}-*")}
        found: list[Any] = [None] * world_size()
        dist.gather_object(own, found if rank() == 0 else None, group=self._group)
        return {name: value for files in found if files for name, value in files.items()}
