"""Loading of a model of transformers, with a check that all weights come from the folder."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from distill_core.errors import DistillError
from distill_core.weights import MAX_SHOWN, wrapper

logger = logging.getLogger("distill")
_POOLER = "pooler"
_COMPILED = "_orig_mod."


class _Difference(NamedTuple):
    name: str
    text: str
    is_new: bool  # in the model; False if only in the folder


def load_complete(factory: Any, name_or_path: str | Path, *, new_head: bool, **options: Any) -> nn.Module:
    """Call `factory.from_pretrained` and compare the names and shapes of what it loaded with the model.

    Args:
        factory: An `AutoModel` class.
        name_or_path: A folder, or a name on the hub.
        new_head: Allow a new head, and log its tensors.
        **options: Options of `from_pretrained`.

    Raises:
        DistillError: The folder is damaged, or tensors are missing, unexpected or of a different shape.
    """
    model, info = _load(factory, name_or_path, options)
    if renames := _wrappers(model, info):
        logger.info("weights of %s: %s", name_or_path, ", ".join(f"removed '{old}' from the names" for old in renames))
        options["key_mapping"] = {re.escape(old) if old == _COMPILED else f"^{re.escape(old)}": "" for old in renames}
        model, info = _load(factory, name_or_path, options)
    differences = _differences(info)
    refused = [each for each in differences if not _is_allowed(model, each, new_head=new_head)]
    if refused:
        raise _refusal(name_or_path, model, refused, new_head=new_head)
    if differences:
        level = logging.WARNING if any(each.is_new for each in differences) else logging.INFO
        logger.log(level, "weights of %s:\n  %s", name_or_path, "\n  ".join(each.text for each in differences))
    return model


def _load(factory: Any, name_or_path: str | Path, options: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    from safetensors import SafetensorError

    try:
        with _quiet():
            model, info = factory.from_pretrained(
                name_or_path, ignore_mismatched_sizes=True, output_loading_info=True, **options
            )
    except SafetensorError as error:
        message = f"the weights of {name_or_path} are damaged: {error}"
        raise DistillError(message, hint="download them again") from error
    return model, info


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the report of differences: they are compared here."""
    reporter = logging.getLogger("transformers.modeling_utils")
    reporter.addFilter(_reject)  # a higher level would make it report the plan of tensor parallelism
    try:
        yield
    finally:
        reporter.removeFilter(_reject)


def _reject(record: logging.LogRecord) -> bool:
    """Return whether a filtered record is kept."""
    return record.levelno >= logging.ERROR


def _wrappers(model: nn.Module, info: dict[str, Any]) -> list[str]:
    """Return the prefixes that wrappers added to the names in the folder, in the order of their removal."""
    unexpected = info["unexpected_keys"]
    if not unexpected or not info["missing_keys"]:
        return []
    compiled = [_COMPILED] if any(_COMPILED in name for name in unexpected) else []
    base = f"{model.base_model_prefix}."
    own = set(model.state_dict())
    prefix = wrapper([name.replace(_COMPILED, "") for name in unexpected], own | {n.removeprefix(base) for n in own})
    return [*compiled, *([prefix] if prefix else [])]


def _differences(info: dict[str, Any]) -> list[_Difference]:
    missing = [_Difference(name, f"{name} is missing from the folder", True) for name in sorted(info["missing_keys"])]
    others = [
        _Difference(name, f"{name} is {tuple(inside)} in the folder and {tuple(wanted)} in the model", True)
        for name, inside, wanted in sorted(info["mismatched_keys"])
    ]
    surplus = [_Difference(name, f"{name} is not in the model", False) for name in sorted(info["unexpected_keys"])]
    return [*missing, *others, *surplus]


def _is_allowed(model: nn.Module, difference: _Difference, *, new_head: bool) -> bool:
    """Return whether a difference concerns the head only, or a head in the folder that the model does not have."""
    base: Any = model.base_model
    child = difference.name.removeprefix(f"{model.base_model_prefix}.").partition(".")[0]
    is_below = difference.name.startswith(f"{model.base_model_prefix}.") or base is model
    if difference.is_new:
        return new_head and (not is_below or child == _POOLER)
    if child == _POOLER:  # old files of classes without a pooler have one
        return True
    return not hasattr(base, child) and (new_head or base is model)


def _refusal(name_or_path: str | Path, model: nn.Module, refused: list[_Difference], *, new_head: bool) -> DistillError:
    lines = [each.text for each in refused[:MAX_SHOWN]]
    if len(refused) > MAX_SHOWN:
        lines.append(f"… and {len(refused) - MAX_SHOWN} more")
    kind = type(model).__name__
    hint = f"give the folder of a trained {kind}"
    if not new_head and all(_is_allowed(model, each, new_head=True) for each in refused):
        hint += ", or train a new head: new_head: true"
    return DistillError(f"the weights of {name_or_path} do not match {kind}:\n  " + "\n  ".join(lines), hint=hint)
