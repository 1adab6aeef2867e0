"""Definitions behind import paths, found and checked without importing anything."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import did_you_mean
from ._guard import judge_name, judge_path
from ._modules import load_source
from ._problems import NotFoundError
from ._refusals import method_refused, module_refused, short_name_missing
from ._sources import Definition, find_definition
from .policy import ROOTS, is_allowed, is_importable, is_method_allowed, refusal

SHORT_NAMES = "distill_core.losses"
"""The module of names without a dot."""


def locate(path: str, trust: Sequence[str], *, registering: bool) -> Definition | None:
    """Return the definition that a path names, checked; None if the sources do not show it.

    Args:
        path: An import path, or a short name.
        trust: Packages that are trusted in addition to the default ones.
        registering: Whether the document imports modules, which may register short names.

    Raises:
        UntrustedError: A config may not name it.
        NotFoundError: It does not exist.
    """
    if "." not in path:
        return _short(path, registering=registering)
    judge_path(path, trust)
    root = path.partition(".")[0]
    if root not in ROOTS and not any(root == name.partition(".")[0] for name in trust):
        judge_name(path, path, trust)  # one of the allowed names of Python and NumPy
        return None
    found = find_definition(path)
    if found is None:
        return None
    if not found.sure:
        if refusal(found.real) or found.real.startswith("torch."):
            judge_name(path, found.real, trust)  # torch creates names at import, but the allowed ones are known
        return None
    if not found.name:
        raise module_refused(path)
    is_foreign = found.source is None and not is_importable(found.real, trust)
    if is_foreign or found.node is not None or not is_allowed(path, trust):
        judge_name(path, found.real, trust)
    owner, _, method = found.real.rpartition(".")
    if "." in found.name and not is_method_allowed("?", method) and not trust:
        raise method_refused(owner, method)
    return found


def _short(name: str, *, registering: bool) -> Definition | None:
    try:
        return find_definition(f"{SHORT_NAMES}.{name}")
    except NotFoundError:
        if registering:
            return None
    source = load_source(SHORT_NAMES)
    names = source.names() if source else []
    builtin = is_allowed(f"builtins.{name}", ())
    full_path = f"write 'builtins.{name}'" if builtin else "write the full import path"
    raise short_name_missing(name, did_you_mean(name, names, otherwise=full_path))
