"""The codec of each tap of a cached model."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import replace

import torch

from ...cache import Codec, Dense, codec_named
from ...errors import DataError, WiringError
from ...taps import Tap

_EXACT = Dense(torch.float32)


class TapCodecs:
    """The codecs of a model's taps: one for all, or one for each glob.

    Args:
        model: The model's name.
        given: The name of a codec; or glob over taps, `teacher` and `teacher.layer*`, → name, of which the first that
            matches counts, and float32 where none does.

    Attributes:
        given: As it was given.

    Raises:
        WiringError: A codec does not exist, or a glob is for another model.

    >>> codecs = TapCodecs("teacher", {"teacher": "topk-8", "teacher.layer*": "int8"})
    >>> [codecs.of(Tap.parse(tap)).name for tap in ("teacher:out.log_probs", "teacher.layer2", "teacher.fc:in")]
    ['topk-8', 'int8', 'float32']
    """

    def __init__(self, model: str, given: str | Mapping[str, str]) -> None:
        self.given = given if isinstance(given, str) else dict(given)
        named = {"*": given} if isinstance(given, str) else given
        self._codecs = {glob: _codec(model, name) for glob, name in named.items()}
        for glob in self._codecs:
            if not fnmatch.fnmatchcase(model, glob.partition(":")[0].partition(".")[0]):
                message = f"'{glob}' is not a tap of '{model}'"
                raise WiringError(
                    message, key=f"cache.{model}.codec", hint=f"write it like '{model}' or '{model}.layer*'"
                )

    def of(self, tap: Tap) -> Codec:
        """Return the codec of a tap, or of the tap whose field it is if the codec gives fields."""
        module, whole = str(replace(tap, port="out", fields=())), str(tap)
        for glob, codec in self._codecs.items():
            if fnmatch.fnmatchcase(module, glob) or fnmatch.fnmatchcase(whole, glob):
                return codec
        return _EXACT

    def base(self, tap: Tap) -> Tap:
        """Return the tap that is stored for a tap: itself, or without its last field if the codec gives that field."""
        return replace(tap, fields=tap.fields[:-1]) if self.of(tap).gives and tap.fields[-1:] else tap


def _codec(model: str, name: str) -> Codec:
    try:
        return codec_named(name)
    except DataError as error:
        message = f"{error}"
        raise WiringError(message, key=f"cache.{model}.codec") from None
