"""Logits of vectors by a model's own head, in the head's precision."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.func import functional_call

from ._features import at_least_float32


def head_logits(head: Callable[[Tensor], Tensor], vectors: Tensor, *, constant: bool = False) -> Tensor:
    """Return the logits of vectors in at least float32.

    Args:
        head: Maps vectors (n, features) to logits (n, classes). A module gets them in the dtype of its parameters.
        vectors: (n, features).
        constant: Give the parameters of a module no gradient.

    >>> import torch
    >>> head_logits(nn.Linear(3, 5).half(), torch.zeros(2, 3)).dtype
    torch.float32
    """
    if not isinstance(head, nn.Module):
        return at_least_float32(head(vectors))
    parameters = dict(head.named_parameters())
    vectors = vectors.to(next((x.dtype for x in parameters.values() if x.is_floating_point()), vectors.dtype))
    if not constant:
        return at_least_float32(head(vectors))
    fixed = {name: parameter.detach() for name, parameter in parameters.items()}
    return at_least_float32(functional_call(head, fixed, (vectors,)))
