"""Adapters of PEFT, such as LoRA's, added to the weights of their model."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from ..errors import DistillError


def has_adapters(network: nn.Module) -> bool:
    """Return whether a model is one of PEFT, or one of transformers with adapters."""
    return hasattr(network, "peft_config")


def check_mergeable(network: nn.Module) -> None:
    """Check that adapters can be added to the weights of their model.

    Raises:
        DistillError: The weights are quantized, or adapters of this kind cannot be added to weights.
    """
    if not hasattr(network, "merge_and_unload"):
        message = f"adapters of the kind {_kinds(network)} cannot be merged into {type(network).__name__}"
        raise DistillError(message, hint="save the adapters alone, or train adapters of LoRA")
    if packed := [name for name, each in network.named_parameters() if not each.is_floating_point()]:
        message = f"adapters cannot be merged into quantized weights: '{packed[0]}'"
        raise DistillError(message, hint="load the model without quantization")


def merge_adapters(network: nn.Module) -> nn.Module:
    """Return a copy of a model whose adapters are added to its weights; a model without adapters itself.

    The copy has the class of the base model, which loads without PEFT.

    Raises:
        DistillError: The adapters cannot be merged, or hold numbers that are not finite.
    """
    if not has_adapters(network):
        return network
    check_mergeable(network)
    copied: Any = copy.deepcopy(network)
    try:
        merged: nn.Module = copied.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError) as error:
        message = (
            f"the adapters of the kind {_kinds(network)} cannot be merged: {next(iter(str(error).splitlines()), '')}"
        )
        raise DistillError(message, hint="save the adapters alone") from error
    return merged


def _kinds(network: Any) -> str:
    """Return the kinds of adapters of a model by their names in PEFT: `LORA`."""
    kinds = {str(getattr(each, "peft_type", each)).rpartition(".")[2] for each in network.peft_config.values()}
    return ", ".join(sorted(kinds))
