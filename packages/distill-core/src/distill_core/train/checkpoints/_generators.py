"""The states of the global generators of each process, as tensors that a checkpoint can hold."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..parallel import each_process, of_this_process


def generator_states(device: torch.device) -> dict[str, list[Tensor]]:
    """Return the states of Python, NumPy, torch and the device on each process. A collective operation.

    Args:
        device: Device of this process.
    """
    version, numbers, gauss = random.getstate()
    of_numpy: Any = np.random.get_state(legacy=False)
    own = {
        "python": torch.tensor([version, *numbers]),
        "python_gauss": torch.tensor([gauss is not None, gauss or 0.0], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if of_numpy["bit_generator"] == "MT19937":  # not a replacement
        own["numpy"] = torch.tensor([*of_numpy["state"]["key"].tolist(), of_numpy["state"]["pos"]])
        own["numpy_gauss"] = torch.tensor([of_numpy["has_gauss"], of_numpy["gauss"]], dtype=torch.float64)
    if device.type == "cuda":
        own["cuda"] = torch.cuda.get_rng_state()
    return {name: [value.cpu() for value in each_process(state.to(device))] for name, state in own.items()}


def restore_generators(states: Mapping[str, Sequence[Tensor]], device: torch.device) -> None:
    """Restore the states of this process."""
    own: dict[str, Any] = {name: of_this_process(values).cpu() for name, values in states.items()}
    version, *numbers = own["python"].tolist()
    has_gauss, gauss = own["python_gauss"].tolist()
    random.setstate((version, tuple(numbers), gauss if has_gauss else None))
    torch.set_rng_state(own["torch"])
    if "numpy" in own:
        *keys, position = own["numpy"].tolist()
        has_gauss, cached = own["numpy_gauss"].tolist()
        np.random.set_state(("MT19937", np.array(keys, dtype=np.uint32), position, int(has_gauss), cached))
    if "cuda" in own and device.type == "cuda":
        torch.cuda.set_rng_state(own["cuda"])
