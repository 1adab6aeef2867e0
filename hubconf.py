"""Entry points for torch.hub: `torch.hub.load("<owner>/<repository>", "digits/convnet8.kd")`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

dependencies = ["torch", "filelock", "yaml"]

# torch.hub downloads the repository, in which the packages are not installed.
for _source in sorted((Path(__file__).resolve().parent / "packages").glob("*/src")):
    if str(_source) not in sys.path:
        sys.path.append(str(_source))

import distill_zoo as _zoo  # noqa: E402 - needs the path above


def _entry(name: str) -> Callable[..., object]:
    load = partial(_zoo.load, name)
    builder = _zoo.card(name).builder
    load.__doc__ = f"Return {name} with its weights, in eval mode" + (
        f"; accepts the arguments of {builder}." if builder else "."
    )
    return load


globals().update({name: _entry(name) for name in _zoo.list_models()})
