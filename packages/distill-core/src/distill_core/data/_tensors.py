"""A dataset of tensors in memory, read one batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from ..errors import DataError

Augment = Callable[[Tensor, Tensor], Tensor]
"""(batch of inputs, (batch,) int64 seeds) → batch of inputs; the result of a sample depends on its seed alone."""


class TensorData:
    """A dataset of tensors of equal length by field name; a batch is one gather per field.

    Args:
        tensors: Field → (samples, …).
        augment: Applied to the field `input` of each batch.
        views: Field → augmentation of `input` that creates it: another view of the same samples.

    Raises:
        DataError: The tensors have different lengths.

    >>> import torch
    >>> data = TensorData({"input": torch.arange(6.0).reshape(3, 2), "target": torch.tensor([0, 1, 2])})
    >>> data.batch(torch.tensor([2, 0]), torch.tensor([0, 0]))["target"]
    tensor([2, 0])
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], augment: Augment | None = None, views: Mapping[str, Augment] | None = None
    ) -> None:
        lengths = {name: len(tensor) for name, tensor in tensors.items()}
        if len(set(lengths.values())) != 1:
            message = f"the fields of a dataset must have the same length, got {lengths}"
            raise DataError(message)
        self.tensors = dict(tensors)
        self.augment = augment
        self.views = dict(views or {})
        self._length = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self._length

    @property
    def is_fixed(self) -> bool:
        """Whether batches do not depend on seeds. A subclass with a `batch` of its own must say so itself."""
        return self.augment is None and not self.views and type(self).batch is TensorData.batch

    def batch(self, indices: Tensor, seeds: Tensor) -> dict[str, Tensor]:
        """Return the samples at `indices` (batch,), augmented with `seeds` (batch,)."""
        fields = {name: tensor.index_select(0, indices) for name, tensor in self.tensors.items()}
        if self.views:
            fields |= {name: view(fields["input"], seeds) for name, view in self.views.items()}
        if self.augment is not None:
            fields["input"] = self.augment(fields["input"], seeds)
        return fields

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return one sample, without augmentation."""
        return {name: tensor[index] for name, tensor in self.tensors.items()}
