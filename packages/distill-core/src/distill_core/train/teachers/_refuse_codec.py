"""The error for a loss that needs what the codec of a cache cannot give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...cache import NAMES, SPARSE, Codec, codec_named
from ...errors import WiringError
from ...experiment import Term


def refuse_codec(name: str, term: Term, model: str, codec: Codec, fields: Mapping[str, Any]) -> None:
    """Refuse a loss that needs what a codec cannot give.

    Args:
        name: The name of the term.
        term: The loss with its inputs.
        model: The cached model.
        codec: The codec of its taps.
        fields: Tap → the last field that it names, if any.

    Raises:
        WiringError: The loss does; the message names a codec that works.
    """
    refuse = _refuse_dense if codec.gives else _refuse_sparse
    refuse(name, term, model, codec, fields)


def _refuse_dense(name: str, term: Term, model: str, codec: Codec, fields: Mapping[str, Any]) -> None:
    """Refuse a loss that needs more than the fields of a sparse codec."""
    for tap, last in fields.items():
        if not last or last[0] not in codec.gives:
            given = " and ".join(f"'{model}:out.{field}'" for field in codec.gives)
            able = [other for other in NAMES if last and last[0] in codec_named(other).gives]
            hint = f"use the codec '{able[0]}'" if able else "use the codec float32, float16, bfloat16 or int8"
            message = f"{_kind(term)} takes '{tap}', but the codec '{codec.name}' of cache.{model} gives {given}"
            raise WiringError(message, key=f"losses.{name}", hint=hint)


def _refuse_sparse(name: str, term: Term, model: str, codec: Codec, fields: Mapping[str, Any]) -> None:
    """Refuse a loss that needs the fields of a sparse codec from a dense one."""
    last = {field[0] for field in fields.values() if field and field[0] in SPARSE}
    able = [other for other in NAMES if len(last) > 1 and last == set(codec_named(other).gives)]
    if able:
        message = (
            f"{_kind(term)} takes {' and '.join(map(repr, fields))}, but the codec '{codec.name}' of "
            f"cache.{model} gives the complete tensor"
        )
        raise WiringError(message, key=f"losses.{name}", hint=f"use the codec '{able[0]}'")


def _kind(term: Term) -> str:
    return getattr(term.loss, "__name__", type(term.loss).__name__)
