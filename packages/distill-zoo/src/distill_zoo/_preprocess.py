"""Preprocessing of images for a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from ._card import Input
from ._errors import ZooError
from ._optional import optional

if TYPE_CHECKING:
    from torch import Tensor

_PIL = {"nearest": 0, "bilinear": 2, "bicubic": 3}


@final
class Preprocess:
    """Resize, centre crop, scaling to 0…1 and normalisation.

    PIL resizes a PIL image. torch resizes a tensor with antialiasing, as torchvision does.

    Args:
        input: The model's expected input.
    """

    def __init__(self, input: Input) -> None:  # noqa: A002 - the name of the field on the card
        self.input = input

    def __repr__(self) -> str:
        return f"Preprocess({self.input})"

    def __call__(self, image: Any) -> Tensor:
        """Return the tensor (channels, height, width) of an image, or (batch, channels, height, width) of a batch.

        Args:
            image: A PIL image, or a tensor (…, channels, height, width). Integer tensors hold pixels from 0 to `scale`,
                floating-point tensors from 0 to 1.

        Raises:
            ZooError: The number of channels is wrong, or the image is smaller than the crop.
        """
        torch = optional("torch", "preprocessing images requires torch")
        pixels = image if isinstance(image, torch.Tensor) else self._from_pil(torch, image)
        values = pixels.float() if pixels.is_floating_point() else pixels.float() / self.input.scale
        if values.shape[-3] != self.input.channels:
            message = f"the image must have {self.input.channels} channels, got {values.shape[-3]}"
            raise ZooError(message)
        if pixels is image:
            values = self._resize(torch, values)
        values = self._crop(values)
        mean, std = (
            torch.tensor(each, device=values.device).view(-1, 1, 1) for each in (self.input.mean, self.input.std)
        )
        result: Tensor = (values - mean) / std
        return result

    def _from_pil(self, torch: Any, image: Any) -> Tensor:
        image = image.convert("L" if self.input.channels == 1 else "RGB")
        size = self._target(image.height, image.width)
        if size != (image.height, image.width):
            image = image.resize(size[::-1], _PIL[self.input.interpolation])
        flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
        pixels: Tensor = flat.view(image.height, image.width, self.input.channels).permute(2, 0, 1)
        return pixels

    def _target(self, height: int, width: int) -> tuple[int, int]:
        resize = self.input.resize
        if resize is None:
            return height, width
        if isinstance(resize, tuple):
            return resize
        short = min(height, width)
        return (resize, int(resize * width / short)) if height == short else (int(resize * height / short), resize)

    def _resize(self, torch: Any, values: Tensor) -> Tensor:
        size = self._target(values.shape[-2], values.shape[-1])
        if size == tuple(values.shape[-2:]):
            return values
        smooth = self.input.interpolation != "nearest"
        batch = values if values.dim() == 4 else values.unsqueeze(0)
        options = {"align_corners": False, "antialias": True} if smooth else {}
        resized = torch.nn.functional.interpolate(batch, size=size, mode=self.input.interpolation, **options)
        result: Tensor = resized if values.dim() == 4 else resized.squeeze(0)
        return result

    def _crop(self, values: Tensor) -> Tensor:
        if self.input.size is None:
            return values
        height, width = self.input.size
        if values.shape[-2] < height or values.shape[-1] < width:
            message = f"the image must have at least {height}×{width} pixels, got {values.shape[-2]}×{values.shape[-1]}"
            raise ZooError(message)
        top, left = round((values.shape[-2] - height) / 2), round((values.shape[-1] - width) / 2)
        return values[..., top : top + height, left : left + width]
