"""Copies and comparison of state dicts."""

from __future__ import annotations

import torch


def copy_of(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
