"""An experiment built on the meta device: no memory for weights, no data where an example of a batch exists."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from yaml import Node

from ..config import Builder, Document, NodesByKey
from ..experiment import Experiment
from ._refuse_models import refuse_models
from ._shapes import needs_data, shapes_only


def build_on_meta(document: Document, trust: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a document with models on the meta device and with loaders that are not built yet.

    A loader whose data function has an attribute `example_batch` becomes a `partial` of that function. Any other loader
    becomes a function without arguments that builds it together with its data.

    Args:
        document: A checked document.
        trust: Packages whose objects the file may name besides the trusted ones.

    Raises:
        ConfigError: A call does not fit the signature of what it calls, or a model is not a module.
    """
    builder = _MetaBuilder(document, trust)
    with on_meta():
        experiment = builder.decode(document.root, Experiment)
    refuse_models(document, experiment.models)
    return experiment


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Create tensors on the meta device, where loading weights has no effect and no warning says so."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*copying from a non-meta parameter in the checkpoint to a meta")
        yield


class _MetaBuilder(Builder):
    def __init__(self, document: Document, trust: Sequence[str]) -> None:
        super().__init__(document, trust)
        nodes = NodesByKey(document)
        self._real = self.with_nothing_built()
        self._models = {id(node) for node in nodes.models()}
        self._examples: set[int] = set()
        self._loaders: set[int] = set()
        self._data: set[int] = set()
        for node in nodes.loaders():
            if hasattr(self.callee(node), "example_batch"):
                self._examples.add(id(node))
            else:
                self._loaders.add(id(node))
                self._data |= {id(below) for below in nodes.tagged(node)}

    def build(self, node: Node) -> Any:
        """Return the object of a node: a model without data, a part of a loader with data."""
        if id(node) in self._examples:
            return self.build_partial(node)
        if id(node) in self._loaders:
            return functools.partial(self._real.build, node)
        if id(node) in self._data:
            return self._build_real(node)
        if id(node) not in self._models:
            return super().build(node)
        try:
            with shapes_only():
                return super().build(node)
        except Exception as error:
            if not needs_data(error) and not isinstance(error, RuntimeError):
                raise
        # Its constructor reads values, or refuses the meta device, as from_pretrained of transformers does.
        model = self._build_real(node)
        return model.to("meta") if isinstance(model, nn.Module) else model

    def _build_real(self, node: Node) -> Any:
        with torch.device("cpu"):
            return self._real.build(node)
