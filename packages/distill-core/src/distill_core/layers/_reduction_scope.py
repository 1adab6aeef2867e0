"""Reduction scope of a loss whose layers normalise over the batch."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm


def reduction_scope_of(*modules: nn.Module) -> str:
    """Return `local` if a submodule normalises over the batch of its process, otherwise `sample`.

    >>> reduction_scope_of(nn.Linear(2, 2)), reduction_scope_of(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    ('sample', 'local')
    """
    parts = [part for module in modules for part in module.modules()]
    normalises = any(isinstance(part, _BatchNorm) and not isinstance(part, SyncBatchNorm) for part in parts)
    return "local" if normalises else "sample"
