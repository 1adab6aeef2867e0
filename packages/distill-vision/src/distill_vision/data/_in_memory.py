"""Images that stay in memory as they are stored, and are augmented and normalised a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from distill_core.data import Loader, TensorData
from distill_core.errors import DataError, did_you_mean

from ..transforms import Mix, normalize
from ._mixed import mix_batches
from ._split import balanced_choice

Augmentation = Callable[[Tensor, Tensor], Tensor]

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Pixels:
    """How stored pixels become numbers of mean 0 and deviation 1.

    Attributes:
        mean: One number a channel, of pixels from 0 to 1.
        std: One number a channel.
        scale: The stored value of a white pixel.
    """

    mean: Sequence[float]
    std: Sequence[float]
    scale: float = 255.0


@final
@dataclass(frozen=True)
class Prepare:
    """Augments the stored pixels of a batch, if asked, and normalises them.

    Attributes:
        pixels: How to normalise.
        augment: Applied before.
    """

    pixels: Pixels
    augment: Augmentation | None = None

    def __call__(self, images: Tensor, seeds: Tensor) -> Tensor:
        """(batch, channels, height, width) as stored, (batch,) int64 → (batch, channels, height, width) float32."""
        if self.augment is not None:
            images = self.augment(images, seeds)
        return normalize(images, mean=self.pixels.mean, std=self.pixels.std, scale=self.pixels.scale)


def check_split(split: str) -> None:
    """Refuse what is no split.

    Raises:
        DataError: `split` is not train, val or test.
    """
    if split not in SPLITS:
        message = f"there is no split '{split}'\n  hint: {did_you_mean(split, SPLITS)}"
        raise DataError(message)


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
    """A loader of images in memory.

    Args:
        images: (samples, channels, height, width) as stored, integers or floats.
        targets: (samples,) int64 class of each image.
        pixels: How to normalise.
        num_classes: How many classes there are.
        batch_size: Samples per batch and process.
        shuffle: A new order in each epoch.
        augment: Applied to the stored pixels of each batch, before they are normalised.
        views: Field → augmentation: the same images once more, augmented in another way, or not at all.
        mix: Mixes the images of a batch with each other, and their labels.
        repeats: How often each image of a batch is in it, augmented in another way each time.
        labels: Keep only this many images, equally many of each class.
        seed: Which of them.

    Raises:
        DataError: A class has too few images for `labels`.
    """
    mixing = mix_batches(mix, num_classes)
    tensors: dict[str, Tensor] = {"input": images, "target": targets}
    if labels is not None:
        chosen = balanced_choice(targets, labels, seed, "labels")
        tensors = {name: tensor[chosen] for name, tensor in tensors.items()}
    prepared = {name: Prepare(pixels, view) for name, view in (views or {}).items()}
    data = TensorData(tensors, Prepare(pixels, augment), prepared)
    return Loader(data, batch_size, shuffle=shuffle, mix=mixing, repeats=repeats)
