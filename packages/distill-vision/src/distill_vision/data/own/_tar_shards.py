"""Images in tar files in the format of WebDataset, read as a stream."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from distill_core.data import Loader, SeedPath, Stream, preserve_rng_state, sample_seeds, with_example
from distill_core.errors import DataError

from .._example import example_of_rows
from .._image_file import SUFFIXES, ImageBytes, read_image
from .._image_folder import Transform, default_transform
from .._in_memory import check_split


@with_example(example_of_rows)
def tar_shards(
    split: str,
    *,
    shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    batch_size: int,
    label: str | None = "cls",
    size: int = 224,
    seed: int = 0,
    shuffle: bool | None = None,
    num_workers: int = 0,
    transform: Transform | None = None,
) -> Loader:
    """Return a stream of images in tar files (WebDataset): `input` (batch, 3, size, size), `target` and `index` (batch,).

    Files of one name up to its first dot are a sample: `000/cat7.jpg` and `000/cat7.cls`, the number of the class as text.
    The headers of a shard are read when it begins. With `shuffle` each pass has another order of the shards and of the
    samples within each. A run resumes within a pass.

    Args:
        split: `train`, `val` or `test`: whether images are shuffled and transformed for training.
        shards: A folder of tar files, a pattern such as `data/train-*.tar`, or a list of files. They are not compressed.
        batch_size: Samples per batch and process.
        label: The suffix of the classes; None for images without labels.
        size: Height and width of the images.
        seed: Seed of the orders.
        shuffle: Whether each pass has a new order; by default only for `train`.
        num_workers: Number of worker processes.
        transform: Function from a PIL image to a tensor; by default that of `image_folder`.

    Raises:
        DataError: There are no shards, or, when it is read, a shard is damaged or a sample incomplete.
    """
    check_split(split)
    usual = default_transform(split, size)
    order = split == "train" if shuffle is None else shuffle
    samples = ShardSamples(_files(shards), label, seed if order else None)
    return Stream(samples, batch_size, num_workers=num_workers, collate=Decoded(transform or usual))


class Member(NamedTuple):
    """The bytes of a file in a shard.

    Attributes:
        name: Its name.
        start: Where its content begins.
        size: Number of bytes.
    """

    name: str
    start: int
    size: int


class Sample(NamedTuple):
    """A sample that is not decoded yet: each worker reads all, and decodes those of its own batches.

    Attributes:
        image: The image file.
        target: The class, if there are classes.
        seed: Seed of the transform.
    """

    image: ImageBytes
    target: int | None
    seed: int


@final
class Decoded:
    """Collates samples: decodes and transforms their images.

    Args:
        transform: Function from a PIL image to a tensor.
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def __call__(self, samples: list[Sample]) -> dict[str, Tensor]:
        """Return a batch."""
        images = []
        for sample in samples:
            with preserve_rng_state(sample.seed):
                images.append(self.transform(read_image(sample.image)))
        targets = [sample.target for sample in samples if sample.target is not None]
        batch = {"input": torch.stack(images)}
        return batch | {"target": torch.tensor(targets, dtype=torch.long)} if targets else batch


@final
class ShardSamples(IterableDataset[Sample]):
    """The samples of tar files, from the first or, after `load_state_dict`, from a later one.

    Args:
        files: The tar files.
        label: The suffix of the classes, if any.
        seed: Seed of the orders; None reads in the order of the files.
    """

    def __init__(self, files: Sequence[Path], label: str | None, seed: int | None) -> None:
        super().__init__()
        self.files, self.label, self.seed = list(files), label, seed
        self._pass, self._shard, self._sample = 0, 0, 0

    def set_epoch(self, epoch: int) -> None:
        """Set the number of the pass, on which the orders depend."""
        self._pass = epoch

    def state_dict(self) -> dict[str, int]:
        """Return the pass, and the position of the next sample in its order."""
        return {"pass": self._pass, "shard": self._shard, "sample": self._sample}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue at a position."""
        self._pass, self._shard, self._sample = state["pass"], state["shard"], state["sample"]

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples from the current position to the end of the pass."""
        shards = self._order(len(self.files), 0)
        while self._shard < len(shards):
            number = shards[self._shard]
            path = self.files[number]
            samples = list(samples_of(path).items())
            order = self._order(len(samples), number + 1)
            with path.open("rb") as file:
                while self._sample < len(order):
                    key, members = samples[order[self._sample]]
                    self._sample += 1
                    yield self._read(file, f"{path}:{key}", members)
            self._shard, self._sample = self._shard + 1, 0
        self._shard = 0

    def _order(self, count: int, part: int) -> list[int]:
        if self.seed is None:
            return list(range(count))
        hashes = sample_seeds(SeedPath(self.seed, self._pass, part), torch.arange(count))
        return hashes.argsort(stable=True).tolist()

    def _read(self, file: Any, where: str, members: dict[str, Member]) -> Sample:
        image = next((member for suffix, member in members.items() if f".{suffix}" in SUFFIXES), None)
        if image is None:
            message = f"{where} has no image, only {', '.join(members)}"
            raise DataError(message)
        source = ImageBytes(f"{where} ({image.name})", _bytes(file, image))
        target = None if self.label is None else self._target(file, where, members, self.label)
        return Sample(source, target, int(torch.randint(2**31, ())))

    def _target(self, file: Any, where: str, members: dict[str, Member], label: str) -> int:
        if label not in members:
            message = f"{where} has no '{label}', only {', '.join(members)}"
            raise DataError(message, hint="name the suffix of the classes as `label`, or null if there are none")
        text = _bytes(file, members[label])[:80].decode("utf-8", "replace").strip()
        if not text.isdecimal():
            message = f"{where}: the class in '{label}' must be an integer >= 0, got '{text}'"
            raise DataError(message)
        return int(text)


def samples_of(path: Path) -> dict[str, dict[str, Member]]:
    """Return key → suffix → file of the samples in a tar file, in its order, from its headers.

    Raises:
        DataError: The file is missing, damaged or compressed, a sample has two files of one suffix, or there are none.
    """
    samples: dict[str, dict[str, Member]] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for entry in shard:
                folder, _, name = entry.name.rpartition("/")
                stem, dot, suffix = name.partition(".")
                if not entry.isreg() or not stem or not dot:
                    continue  # folders, links and hidden files are not samples
                members = samples.setdefault(f"{folder}/{stem}".lstrip("/"), {})
                if suffix.lower() in members:
                    message = f"{path} has two files {entry.name}"
                    raise DataError(message)
                members[suffix.lower()] = Member(entry.name, entry.offset_data, entry.size)
    except (tarfile.TarError, OSError, EOFError) as error:
        message = f"the shard {path} cannot be read: {error}"
        raise DataError(message, hint="shards are complete tar files without compression") from error
    if not samples:
        message = f"the shard {path} has no samples"
        raise DataError(message)
    return samples


def _bytes(file: Any, member: Member) -> bytes:
    file.seek(member.start)
    content: bytes = file.read(member.size)
    if len(content) < member.size:
        message = f"the shard {file.name} ends within {member.name}"
        raise DataError(message)
    return content


def _files(shards: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[Path]:
    if isinstance(shards, str | os.PathLike):
        path = Path(shards).expanduser()
        found = sorted(path.glob("*.tar")) if path.is_dir() else sorted(path.parent.glob(path.name))
        where = f"{path} has no tar files" if path.is_dir() else f"no file matches {path}"
    else:
        found, where = [Path(file).expanduser() for file in shards], "`shards` is empty"
    missing = [file for file in found if not file.is_file()]
    if missing:
        message = f"the shard {missing[0]} is missing"
        raise DataError(message)
    if not found:
        raise DataError(where, hint="name a folder of .tar files, a pattern such as train-*.tar, or a list")
    return found
