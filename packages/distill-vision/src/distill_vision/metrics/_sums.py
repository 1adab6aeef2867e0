"""Sums that grow on the device, batch by batch, and are added over the processes once, at the end."""

from __future__ import annotations

import torch
from torch import Tensor

from distill_core.distributed import sum_over_processes
from distill_core.errors import DataError


class AbstractSums:
    """A metric computed from a vector of sums; adding to it never waits for the device.

    Args:
        size: Number of sums.
        dtype: int64 for counts; float64 for sums of probabilities.
    """

    def __init__(self, size: int, dtype: torch.dtype = torch.int64) -> None:
        self._size, self._dtype = size, dtype
        self._device = torch.device("cpu")
        self._sums = torch.zeros(size, dtype=dtype)

    def to(self, device: torch.device | str) -> None:
        """Move the sums to the device on which the processes add them up."""
        self._device = torch.device(device)
        self._sums = self._sums.to(self._device)

    def reset(self) -> None:
        """Set all sums to zero."""
        self._sums = torch.zeros(self._size, dtype=self._dtype, device=self._device)

    def _add(self, sums: Tensor) -> None:
        """Add (size,) numbers."""
        # Without `to` the sums begin on the CPU and follow the first batch.
        self._sums = self._sums.to(sums.device) + sums

    def _over_processes(self) -> Tensor:
        """Return the sums of all processes, (size,) on the CPU."""
        return sum_over_processes(self._sums).cpu()

    def _ratio(self, numerator: float, denominator: float) -> float:
        """Divide two sums.

        Raises:
            DataError: The denominator is 0: nothing was measured.
        """
        if not denominator:
            message = f"`{type(self).__name__}` has no samples to measure: the loader yielded no batch"
            raise DataError(message)
        return numerator / denominator


class AbstractMean(AbstractSums):
    """The mean of one number per sample, over all samples of all processes.

    Args:
        dtype: int64 if the numbers are bool or integers, float64 otherwise.
    """

    def __init__(self, dtype: torch.dtype = torch.int64) -> None:
        super().__init__(2, dtype)

    def _add_samples(self, values: Tensor) -> None:
        """Add a batch, (batch,) numbers or (batch, …) summands of them."""
        count = torch.full((), len(values), dtype=self._dtype, device=values.device)
        self._add(torch.stack([values.sum(dtype=self._dtype), count]))

    def compute(self) -> float:
        """Return the mean over all samples of all processes.

        Raises:
            DataError: There are no samples.
        """
        total, samples = self._over_processes().tolist()
        return self._ratio(total, samples)
