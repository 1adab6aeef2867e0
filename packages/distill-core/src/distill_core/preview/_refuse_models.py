"""A check that models are modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..config import Document, NodesByKey, refuse
from ..errors import Problem


def refuse_models(document: Document, models: Mapping[str, Any]) -> None:
    """Refuse models that are not an `nn.Module`.

    Raises:
        ConfigError: There are some; each is located.
    """
    nodes, problems = NodesByKey(document), []
    for name, model in models.items():
        if not isinstance(model, nn.Module):
            what = f"the {'class' if isinstance(model, type) else type(model).__name__} {getattr(model, '__name__', '')}".rstrip()
            hint = "create the model with '!import_call:'; '!import_get:' gives the class or function itself"
            problem = Problem(f"'{name}' must be an nn.Module, got {what}", hint=hint, id="model-not-module")
            problems.append(nodes.located(problem, f"models.{name}"))
    refuse(problems)
