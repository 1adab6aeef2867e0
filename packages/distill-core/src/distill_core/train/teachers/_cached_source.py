"""A cached frozen model: stored values are read, missing ones are computed and stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

import torch
from torch import Tensor

from ...cache import READ_AHEAD, Cache, Codec, Format, ReadAhead, hash_rows
from ...errors import DataError
from ...taps import Tap
from ...wiring import read_batch
from ._cached_model import CachedModel
from ._source import ModelSource
from ._tap_codecs import TapCodecs

INPUT = "#input"
_CHECK_EVERY = 32  # batches; a batch's input is compared with what the cache was built from
_MOST_CHECKS = 64  # results of comparisons on the device that were not read

ViewRows = tuple[int, Tensor]
"""The view, and the rows (batch,) of the cache for the samples of a batch, on the CPU."""
RowsAt = Callable[[int], ViewRows | None]
"""From 0 for the current batch, 1 for the next, … to its view and rows; None if there is none."""


class CachedSource(ModelSource):
    """One frozen model of a step, cached.

    It returns values as the codec decodes them, whether they were read or just computed. Before `open`, or without
    rows of a batch, nothing is read or stored.

    Args:
        source: The model, live.
        codecs: How its values are stored.
        compiles: Whether `torch.compile` traces the code that runs it, and must leave it out.

    Attributes:
        stored: Address of each value that is stored → its codec.
    """

    def __init__(self, source: ModelSource, codecs: TapCodecs, *, compiles: bool = False) -> None:
        self.name, self.model, self.taps, self.feed = source.name, source.model, source.taps, source.feed
        self.frozen, self.capture, self.padding, self.settings = True, source.capture, source.padding, source.settings
        self.limits = source.limits
        self.cache: Cache | None = None
        self.writes = False
        self.live, self.constant = source, None
        self._bases = {tap: codecs.base(tap) for tap in source.taps if tap.port != "module"}
        self.stored: dict[str, Codec] = {base.address: codecs.of(tap) for tap, base in self._bases.items()}
        if list(self._bases.values()) != list(source.taps):
            self.live = self._source(list(self._bases.values()))
            self.constant = self._source([tap for tap in source.taps if tap.port == "module"])
            self.capture = self.live.capture
        # Not a decorator: it would import dynamo, which takes seconds.
        run = self._read_or_compute
        self._run: Callable[..., list[Any]] = torch.compiler.disable(run) if compiles else run  # type: ignore[no-untyped-call]
        self._rows_at: RowsAt = lambda _ahead: None
        self._formats: dict[int, Format] = {}
        self._reads: dict[int, int] = {}
        self._read_ahead = ReadAhead(1)
        self._checks: list[tuple[int, Tensor, Tensor]] = []

    @property
    def codec(self) -> str:
        """The name of the codec; that of each address if they differ."""
        names = {address: codec.name for address, codec in self.stored.items()}
        same = set(names.values())
        return same.pop() if len(same) == 1 else json.dumps(names, sort_keys=True)

    def _source(self, taps: list[Tap]) -> ModelSource:
        source = ModelSource(self.name, self.model, taps, None, frozen=True)
        source.feed, source.padding, source.settings = self.feed, self.padding, self.settings
        source.limits = self.limits
        return source

    def attach(self) -> None:
        """Place the hooks."""
        self.live.attach()

    def detach(self) -> None:
        """Remove the hooks and write stored values to disk."""
        self.live.detach()
        self.flush()

    def open(self, cache: Cache, rows_at: RowsAt, *, writes: bool) -> None:
        """Read from a cache the rows of each batch and, if `writes`, add to it."""
        self.cache, self._rows_at, self.writes = cache, rows_at, writes
        self._read_ahead = ReadAhead(cache.views)

    def flush(self) -> None:
        """Write stored values to disk."""
        if self.cache is not None:
            self.cache.flush()

    def forget(self, view: int) -> None:
        """Reload a view, which another process may have completed."""
        self._formats.pop(view, None)
        if self.cache is not None:
            self.cache.reload(view)

    def run(self, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> Iterable[Any]:
        """Return the values of the taps in order.

        Raises:
            DataError: The cache was built from another input, or a value cannot be cached.
        """
        return self._run(batch, values)

    def _read_or_compute(self, batch: Mapping[str, Any], values: Mapping[Tap, Any]) -> list[Any]:
        view_rows = self._rows_at(0) if self.cache is not None else None
        if self.cache is not None and view_rows is not None and self.cache.has(*view_rows):
            self._announce(self.cache, view_rows[0])
            found = self.read(*view_rows, batch)
            self._read_ahead.was_read(view_rows[0], self.cache.shard(view_rows[0]), view_rows[1])
        elif self.cache is not None and view_rows is None and isinstance(self.model, CachedModel):
            # For the shapes of lazy parameters.
            found = self._decoded(0, batch["index"].cpu() % self.cache.rows, batch["index"].device)
        else:
            found = self._compute(view_rows, batch, values)
        fixed = dict(zip(self.constant.taps, self.constant.run(batch, values), strict=True)) if self.constant else {}
        return [fixed[tap] if tap in fixed else self._part(tap, found) for tap in self.taps]

    def _announce(self, cache: Cache, view: int) -> None:
        """Announce the rows of this batch and the next ones, which the operating system reads during the step."""
        if cache.is_complete(view):
            following = (self._rows_at(ahead) for ahead in range(READ_AHEAD, -1, -1))
            batches = (view_rows[1] for view_rows in following if view_rows is not None)
            self._read_ahead.announce(view, cache.shard(view), batches, omit=INPUT)

    def store(self, view: int, rows: Tensor, batch: Mapping[str, Any]) -> None:
        """Compute and store a batch in the rows (batch,) of a view."""
        self._compute((view, rows), batch, {})

    def _part(self, tap: Tap, found: Mapping[str, Any]) -> Any:
        base = self._bases[tap]
        value = found[base.address]
        return value if base is tap else value[tap.fields[-1]]

    def _compute(
        self, view_rows: ViewRows | None, batch: Mapping[str, Any], values: Mapping[Tap, Any]
    ) -> dict[str, Any]:
        given = zip(self.live.taps, self.live.run(batch, values), strict=True)
        live = {tap.address: value for tap, value in given}
        rows = len(batch["index"])
        known = self._formats.get(-1)
        form = known or Format.of(live, rows, self.stored)
        self._formats[-1] = form
        view, indices = view_rows if view_rows is not None else (0, batch["index"])
        with torch.no_grad():
            parts = form.encode(live, _seeds(view, indices))
            if self.cache is not None and view_rows is not None and self.writes:
                stored = {**parts, INPUT: self._hash(batch, rows)}
                self.cache.write(view, indices, stored, {"format": form.to_text()})
            return form.decode(parts)

    def compared(self, address: str, value: Any, view: int, rows: Tensor) -> Any:
        """Return a live value as a sparse codec decodes it; unchanged for other codecs."""
        if not self.stored[address].gives:
            return value
        form = Format.of({"": value}, len(rows), self.stored[address])
        return form.decode(form.encode({"": value}, _seeds(view, rows)))[""]

    def read(self, view: int, rows: Tensor, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a batch in the rows (batch,) of a view, by address.

        Raises:
            DataError: The cache was built from another input.
        """
        cache: Cache = self.cache  # type: ignore[assignment]
        count = self._reads[view] = self._reads.get(view, -1) + 1
        if count % _CHECK_EVERY == 0:
            expected = cache.shard(view).tensors[INPUT].index_select(0, rows)
            found = self._hash(batch, len(rows))
            differs = expected.to(found.device, non_blocking=True) != found
            self._checks.append((view, batch["index"], differs))
            if _is_on_host(found) or len(self._checks) > _MOST_CHECKS:
                self.verify_inputs()
        return self._decoded(view, rows, batch["index"].device)

    def _decoded(self, view: int, rows: Tensor, device: torch.device) -> dict[str, Any]:
        cache: Cache = self.cache  # type: ignore[assignment]
        parts = cache.read(view, rows, omit=INPUT)
        if view not in self._formats:
            self._formats[view] = Format.from_text(cache.shard(view).metadata["format"], self.stored)
        if device.type != "cpu":
            parts = {name: part.to(device, non_blocking=True) for name, part in parts.items()}
        return self._formats[view].decode(parts)

    def _hash(self, batch: Mapping[str, Any], rows: int) -> Tensor:
        taps = self.feed.taps if self.feed is not None else (Tap.parse("batch.input"),)
        inputs = [read_batch(batch, tap) for tap in taps]
        return hash_rows([value for value in inputs if isinstance(value, Tensor)], rows)

    def verify_inputs(self) -> None:
        """Read the comparisons of inputs since the last call from the device; a comparison on the CPU is read at once.

        Raises:
            DataError: The cache was built from another input.
        """
        checks, self._checks = self._checks, []
        if checks and bool(torch.cat([differs for _, _, differs in checks]).any()):
            view, index, differs = next(check for check in checks if check[2].any())
            self._refuse_input(view, int(index[differs.nonzero()[0, 0]]))

    def _refuse_input(self, view: int, sample: int) -> NoReturn:
        path = self.cache.path(view) if self.cache else ""
        message = (
            f"sample {sample} is not the input from which {path} was built, although data, transforms "
            "and seed are the same"
        )
        hint = (
            "the augmentation of a sample must follow from its seed, not from its batch (mix samples with the loader's "
            "`mix`, which is replayed); or run this teacher without a cache"
        )
        raise DataError(message, key=f"cache.{self.name}", hint=hint)


def _is_on_host(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _seeds(view: int, rows: Tensor) -> Tensor:
    """Return a number for each sample and view."""
    return rows * 1024 + view
