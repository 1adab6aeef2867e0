"""Conversion of state dicts of other code bases to the names of this package.

Many public CIFAR ResNets with identity shortcuts (option A) were saved from `nn.DataParallel`, call the classifier
`linear` and the shortcut `shortcut`, and have no entry for a shortcut without parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from distill_core.errors import DataError

# Pattern → replacement, applied to each name in this order.
RENAMED = (
    (r"^(?:module\.|model\.|_orig_mod\.)+", ""),
    (r"^(?:linear|classifier)\.(?=weight|bias)", "fc."),
    (r"^(layer\d+\.\d+\.)shortcut\.", r"\1downsample."),
)


def resnet_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a CIFAR ResNet to the names of `CifarResNet`.

    Prefixes such as `module.` are removed, `linear` becomes `fc`, and `shortcut` becomes `downsample`. Batch norms saved by
    old versions of torch, without a batch count, get a count of 0. Other names are unchanged, so that `load_state_dict`
    reports what does not match.

    Args:
        state: Name → tensor, as saved.

    Raises:
        DataError: Two names become the same.

    >>> sorted(resnet_state_dict({"module.linear.bias": torch.zeros(10), "module.bn1.running_var": torch.ones(16)}))
    ['bn1.num_batches_tracked', 'bn1.running_var', 'fc.bias']
    """
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        new = name
        for pattern, replacement in RENAMED:
            new = re.sub(pattern, replacement, new)
        if new in renamed:
            message = f"two tensors would have the name '{new}', the second is '{name}'"
            raise DataError(message, hint="split the file: it contains two models")
        renamed[new] = tensor
    for name in [name for name in renamed if name.endswith(".running_var")]:
        renamed.setdefault(f"{name.removesuffix('running_var')}num_batches_tracked", torch.tensor(0))
    return renamed
