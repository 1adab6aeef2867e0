"""Images with a class for each pixel, and their loader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from distill_core.data import GivenInputs, Loader
from distill_core.errors import DataError

from ..transforms import segmentation_eval, segmentation_train
from ._image_file import read_image
from .given import MaskRecords, NoMasks, given_files

PairTransform = Callable[..., tuple[Any, Any]]
DataFunction = TypeVar("DataFunction", bound=Callable[..., Any])
IGNORED = 255


@final
class Scenes(Dataset[dict[str, Tensor]]):
    """Images with their masks.

    Args:
        photographs: The files of the images.
        mask: Function from the index of an image to its mask, (height, width) integers. An attribute `classes` holds the
            names of the classes in order.
        transform: Function from (image, mask) to (image, mask).
    """

    def __init__(self, photographs: Sequence[Path], mask: Callable[[int], Tensor], transform: PairTransform) -> None:
        self.photographs = list(photographs)
        self.mask = mask
        self.transform = transform

    def __len__(self) -> int:
        return len(self.photographs)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        from torchvision import tv_tensors
        from torchvision.transforms.v2.functional import pil_to_tensor

        path = self.photographs[index]
        mask = self.mask(index)
        pixels = pil_to_tensor(read_image(path, (mask.shape[0], mask.shape[1])))
        if mask.shape != pixels.shape[1:]:
            message = (
                f"{path} and its mask must have the same size, got {tuple(pixels.shape[1:])} and {tuple(mask.shape)}"
            )
            raise DataError(message)
        image, labels = self.transform(tv_tensors.Image(pixels), tv_tensors.Mask(mask))
        return {"input": image.as_subclass(Tensor), "target": labels.as_subclass(Tensor).long()}

    def given_inputs(self, paths: Sequence[Path], texts: Sequence[str]) -> GivenInputs:
        """Return images in files and folders as samples without classes."""
        files = given_files(paths, texts)
        return GivenInputs(
            inputs=[str(file) for file in files],
            dataset=Scenes(files, NoMasks(files), self.transform),
            describe=MaskRecords(files, getattr(self.mask, "classes", ())),
            writes_images=True,
        )


def padded(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Collate images of several sizes: pad them at the right and the bottom, with labels to ignore.

    >>> sizes = [(2, 3), (4, 1)]
    >>> samples = [{"input": torch.ones(3, *size), "target": torch.ones(size, dtype=torch.long)} for size in sizes]
    >>> padded(samples)["target"][1].tolist()
    [[1, 255, 255], [1, 255, 255], [1, 255, 255], [1, 255, 255]]
    """
    height, width = (max(sample["target"].shape[axis] for sample in samples) for axis in (0, 1))

    def fill(tensor: Tensor, value: int) -> Tensor:
        return F.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]), value=value)

    return {
        "input": torch.stack([fill(sample["input"], 0) for sample in samples]),
        "target": torch.stack([fill(sample["target"], IGNORED) for sample in samples]),
    }


def scenes_loader(
    dataset: Callable[[PairTransform], Scenes],
    *,
    split: str,
    batch_size: int,
    crop: int,
    size: int,
    shuffle: bool | None,
    num_workers: int,
    drop_last: bool,
    transform: PairTransform | None,
) -> Loader:
    """Return the loader of a split: crops of `crop`×`crop` for training, uncropped images with a shorter side of `size` otherwise."""
    training = split == "train"
    usual = segmentation_train(crop, size // 2, 2 * size) if training else segmentation_eval(size)
    return Loader(
        dataset(transform or usual),
        batch_size,
        shuffle=training if shuffle is None else shuffle,
        num_workers=num_workers,
        drop_last=drop_last,
        collate=padded,
    )


def example_of_scenes(batch_size: int, crop: int) -> dict[str, Tensor]:
    """Build an example for `with_example`: crops for training, and the class of each pixel."""
    return {
        "input": torch.empty(batch_size, 3, crop, crop, device="meta"),
        "target": torch.empty(batch_size, crop, crop, dtype=torch.long, device="meta"),
        "index": torch.empty(batch_size, dtype=torch.long, device="meta"),
    }
