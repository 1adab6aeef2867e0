"""Build an experiment without memory for its weights, and without its data where there is an example of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from yaml import Node

from ..config import Builder, Document, NodesByKey
from ..config._nodes import walk
from ..experiment import Experiment
from ..train.step import EMA
from ._refuse_models import refuse_models
from ._shapes import needs_data, shapes_only


def build_on_meta(document: Document, trust: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a document on the meta device, with what makes a loader in the place of each loader.

    A data function with an attribute `example_batch` becomes a `partial` of it. Any other one becomes a function without
    arguments, which builds it together with its data.

    Args:
        document: A file that has been checked already.
        trust: Packages whose objects the file may name besides the trusted ones.
    """
    builder = _MetaBuilder(document, trust)
    with torch.device("meta"):
        experiment = builder.decode(document.root, Experiment)
        refuse_models(document, experiment.models)
        models = dict(experiment.models)
        EMA(models, experiment.ema)
    return replace(experiment, models=models)


class _MetaBuilder(Builder):
    def __init__(self, document: Document, trust: Sequence[str]) -> None:
        super().__init__(document, trust)
        nodes = NodesByKey(document)
        self._real = self.with_nothing_built()
        self._models = {id(node) for node in nodes.models()}
        self._loaders: set[int] = set()
        self._data: set[int] = set()
        for node in nodes.loaders():
            if hasattr(self.callee(node), "example_batch"):
                node.tag = node.tag.replace("!import_call", "!import_partial", 1)
            else:
                self._loaders.add(id(node))
                self._data |= {id(below) for _, below in walk(node) if not below.tag.startswith("tag:yaml.org")}

    def build(self, node: Node) -> Any:
        """The object of a node: models without data, what belongs to a loader with data."""
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
            if not needs_data(error):
                raise
        model = self._build_real(node)  # its constructor looks at numbers
        return model.to("meta") if isinstance(model, nn.Module) else model

    def _build_real(self, node: Node) -> Any:
        with torch.device("cpu"):
            return self._real.build(node)
