"""A model from an import path and arguments on the command line, or from the short name of one."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn
from yaml import Node

from ..config import Builder, read_call
from ..errors import ConfigError, DistillError, Problem, did_you_mean
from ..preview import on_meta
from ._exit import refuse


def build_model(path: str, arguments: Sequence[str], trust: Sequence[str]) -> nn.Module:
    """Build a model, on the meta device if possible, with the trust rules that apply to files.

    Raises:
        ConfigError: The arguments do not match the signature, or the result is not a model.
        TrustError: The model is outside the trusted packages.
    """
    document = read_call(path, arguments)
    model: Any = None
    with contextlib.suppress(Exception), on_meta():  # constructors that read values need memory
        model = Builder(document, trust).build(document.root)
    if model is None:
        model = _built(Builder(document, trust), document.root, path)
    if not isinstance(model, nn.Module):
        refuse(f"'{path}' must build an nn.Module, got {type(model).__name__}")
    return model


def _built(builder: Builder, root: Node, path: str) -> Any:
    try:
        return builder.build(root)
    except DistillError:
        raise
    except Exception as error:  # noqa: BLE001 - a model's code may raise anything
        refuse(f"'{path}' cannot be built: {type(error).__name__}: {error}", "check its arguments; --debug shows where")


def call_of(name: str, arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the import path and the arguments that build a model which may be named in short.

    Args:
        name: An import path, a folder of transformers, a name of the zoo (`cifar10/resnet20`) or of timm (`resnet18`,
            `resnet18.a1_in1k`).
        arguments: Further arguments, `key=value`.

    Raises:
        ConfigError: The name is none of these.

    >>> call_of("torchvision.models.resnet18", ["num_classes=10"])
    ('torchvision.models.resnet18', ['num_classes=10'])
    """
    if Path(name).is_dir():
        return _transformers_class(Path(name)), [f"config={_config_of(Path(name))}", *arguments]
    if name in _zoo_names():
        return "distill_zoo.load", [f"name={name}", *arguments]
    is_path = "." in name and "/" not in name
    if not (is_path and _is_module(name.partition(".")[0])) and _is_timm(name):
        return "timm.create_model", [f"model_name={name}", *arguments]
    if not is_path or _may_be_timms(name) or (name.startswith("timm.") and _is_timm(name[5:])):
        refuse(f"there is no model '{name}'", _hint(name))
    return name, list(arguments)


def _transformers_class(folder: Path) -> str:
    """Return the import path of the class that the config of a folder names."""
    try:
        (name,) = json.loads((folder / "config.json").read_text(encoding="utf-8"))["architectures"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "give a folder that save_pretrained of transformers wrote"
        raise ConfigError(
            [Problem(f"{folder} has no config.json with one entry in 'architectures'", hint=hint)]
        ) from error
    return f"transformers.{name}"


def _config_of(folder: Path) -> str:
    """Return the call that reads the config of a folder, as YAML."""
    path = json.dumps(str(folder.resolve()))
    return f"!import_call:transformers.AutoConfig.from_pretrained {{pretrained_model_name_or_path: {path}}}"


def _zoo_names() -> Sequence[str]:
    if importlib.util.find_spec("distill_zoo") is None:
        return ()
    zoo: Any = importlib.import_module("distill_zoo")
    names: Sequence[str] = zoo.list_models()
    return names


def _short_names(name: str) -> Sequence[str]:
    """Return the names that may be meant: those of the zoo for one with a slash, otherwise those of timm."""
    if "/" in name:
        return _zoo_names()
    if not _is_module("timm"):
        return ()
    timm: Any = importlib.import_module("timm")
    names: Sequence[str] = timm.list_models()
    return names


def _may_be_timms(name: str) -> bool:
    """Return whether a name looks like `resnet18.a1_in1k` of timm, which is not installed, and is not of a module."""
    root = name.partition(".")[0]
    is_code = root == "timm" or _is_module(root) or Path(f"{root}.py").exists() or Path(root).is_dir()
    return not _is_module("timm") and not is_code and re.fullmatch(r"[a-z0-9_]+\.[a-z0-9_]+", name) is not None


def _hint(name: str) -> str:
    """Return what to name instead of a model that does not exist."""
    prefix, _, short = name.rpartition("/")
    if name.startswith("timm."):
        prefix, _, short = name.partition(".")
    if not _is_module("timm") and prefix in ("", "timm"):
        return "give an import path, a folder, or a name of the zoo; names of timm need it: pip install timm"
    if prefix == "timm" and _is_timm(short):
        return f"models of timm are named without a prefix: {short}"
    hint = "give an import path, a folder, or a name of the zoo or of timm"
    return did_you_mean(name, _short_names(name), otherwise=hint)


def _is_module(name: str) -> bool:
    return bool(name) and importlib.util.find_spec(name) is not None


def _is_timm(name: str) -> bool:
    if not _is_module("timm"):
        return False
    timm: Any = importlib.import_module("timm")
    return bool(timm.is_model(name))
