"""Images that stay in memory as stored and are augmented and normalised batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from torch import Tensor

from distill_core.data import GivenInputs, Loader, TensorData
from distill_core.errors import DataError, did_you_mean

from ..transforms import Mix, normalize
from ._mixed import mix_batches
from ._split import balanced_choice
from .given import given_files, stored_pixels

Augmentation = Callable[[Tensor, Tensor], Tensor]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pixels:
    """The normalisation of stored pixels to mean 0 and standard deviation 1.

    Attributes:
        mean: Mean of each channel, for pixels from 0 to 1.
        std: Standard deviation of each channel.
        scale: The stored value of a white pixel.
    """

    mean: Sequence[float]
    std: Sequence[float]
    scale: float = 255.0


@final
@dataclass(frozen=True)
class Prepare:
    """Augments the stored pixels of a batch, optionally, and normalises them.

    Attributes:
        pixels: The normalisation.
        augment: The augmentation, before the normalisation.
    """

    pixels: Pixels
    augment: Augmentation | None = None

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """Prepare (batch, channels, height, width) as stored, with seeds (batch,) int64; return float32."""
        if self.augment is not None:
            images = self.augment(images, seeds)
        return normalize(images, mean=self.pixels.mean, std=self.pixels.std, scale=self.pixels.scale)


def check_split(split: str, **counts: int | None) -> None:
    """Check the name of a split, and that numbers of training images are given for `train` only.

    Raises:
        DataError: `split` is not train, val or test, or one of the numbers would not change it.
    """
    if split not in SPLITS:
        message = f"`split` must be one of {', '.join(SPLITS)}, got '{split}'"
        raise DataError(message, hint=did_you_mean(split, SPLITS))
    for name, count in counts.items():
        if count is not None and split != "train":
            message = f"`{name}` selects training images, and the split is '{split}'"
            raise DataError(message, hint=f"omit `{name}`")


@final
class ResidentImages(TensorData):
    """Images in memory, normalised batch by batch.

    Args:
        tensors: `input` (samples, channels, height, width) as stored, and other fields.
        pixels: The normalisation.
        augment: Augmentation of the stored pixels of a batch.
        views: Field → function of a batch of stored pixels and seeds that creates it.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        pixels: Pixels,
        augment: Augmentation | None,
        views: Mapping[str, Augmentation],
    ) -> None:
        super().__init__(tensors, Prepare(pixels, augment), views)
        self.pixels = pixels

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders, scaled to the size of these, as samples; they are not augmented."""
        files = given_files(paths, texts)
        stored = self.tensors["input"]
        images, errors = stored.new_zeros(len(files), *stored.shape[1:]), {}
        for index, file in enumerate(files):
            try:
                images[index] = stored_pixels(file, stored.shape[1:], self.pixels.scale, stored.dtype)
            except DataError as error:
                errors[index] = error.message
        data = ResidentImages({"input": images}, self.pixels, None, {})
        return GivenInputs(inputs=[str(file) for file in files], dataset=data, errors=errors)


def resident_loader(
    images: Tensor,
    targets: Tensor,
    pixels: Pixels,
    *,
    num_classes: int,
    batch_size: int,
    shuffle: bool,
    augment: Augmentation | None = None,
    views: Mapping[str, Augmentation | None] | None = None,
    mix: Mix | None = None,
    repeats: int = 1,
    labels: int | None = None,
    seed: int = 0,
) -> Loader:
    """Return a loader of images in memory.

    Args:
        images: (samples, channels, height, width) as stored, integers or floats.
        targets: (samples,) int64 class of each image.
        pixels: The normalisation.
        num_classes: Number of classes.
        batch_size: Samples per batch and process.
        shuffle: Whether each epoch has a new order.
        augment: Augmentation of the stored pixels of a batch, before the normalisation.
        views: Field → augmentation, or None for the original images: another view of the same images under this name.
        mix: Mixes the images of a batch, and their labels.
        repeats: Number of times each image of a batch occurs in it, each time with another augmentation.
        labels: Number of images to keep, balanced over the classes; by default all.
        seed: Seed of the selection by `labels`.

    Raises:
        DataError: A class has too few images for `labels`.
    """
    mixing = mix_batches(mix, num_classes)
    tensors: dict[str, Tensor] = {"input": images, "target": targets}
    if labels is not None:
        chosen = balanced_choice(targets, labels, seed, "labels")
        tensors = {name: tensor[chosen] for name, tensor in tensors.items()}
    prepared = {name: Prepare(pixels, view) for name, view in (views or {}).items()}
    data = ResidentImages(tensors, pixels, augment, prepared)
    return Loader(data, batch_size, shuffle=shuffle, mix=mixing, repeats=repeats)
