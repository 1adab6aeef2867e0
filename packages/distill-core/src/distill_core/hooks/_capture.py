"""Take tensors from inside a model while it runs, without changing the model."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ..errors import WiringError
from ..taps import Tap, take
from ._captured import Captured
from ._modules import resolve, unwrap
from ._pytree import shape_of_call
from ._record import Record
from ._truncate import head

_MOST_KINDS = 10_000  # of calls that may be stopped early; later kinds run to the end
_NONE: frozenset[Record] = frozenset()


class _Stop(BaseException):
    """All is there, the rest of the forward is not needed. No `Exception`, so that no model catches it."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture


class Capture:
    """Record the inputs and outputs of modules of `model`.

    Addresses are those of `distill_core.taps` without the model's name: `layer1.0.bn2:in`, `fc`, an empty text for the
    model's own output. Values are what they were when the module ran, even if the model overwrites them in place
    afterwards; gradients flow through them. Tensors that nobody overwrites are not copied.

    Hooks are on the model inside the `with` block, or from `attach()` to `detach()`; they record only inside the block.
    Attach before `torch.compile`: a compiled model does not see later hooks. After the block only the mapping that it
    gave holds tensors.

    Args:
        model: The model; it may be wrapped by `torch.compile` or data parallelism.
        taps: Addresses relative to the model.
        stop_early: `run` may end the forward after the last value that is needed. A plain chain (`nn.Sequential`) is cut
            there. Of other models the first call with inputs of a shape runs whole and shows whether every tapped
            module is called once. (So this is not for a model in which the values of the inputs, not their shapes,
            decide how often a module is called.) It never happens in training mode, and in a compiled model only
            to a chain; where `run` itself is compiled, the compiler drops what nobody reads.
        name: What the model is called in an experiment, for messages.

    Attributes:
        model: What `run` calls; set it to the wrapped model after `torch.compile(model)`.
        last_module: The module with which `run` ends; empty for the end of the model, None before the first run.

    Raises:
        WiringError: If an address is malformed or there is no such module.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with Capture(model, ["0", "1:in"]) as taps:
    ...     output = model(torch.ones(4, 2))
    >>> taps["0"].shape, taps["0"] is taps["1:in"]
    (torch.Size([4, 3]), True)
    """

    def __init__(self, model: nn.Module, taps: Iterable[str], *, stop_early: bool = False, name: str = "") -> None:
        self.model = model
        self.stop_early = stop_early
        self.last_module: str | None = None
        self._name = name
        self._root = unwrap(model)
        self._taps = {address: _parse(address, name or "model") for address in taps}
        modules = {address: resolve(model, tap.path, name) for address, tap in self._taps.items()}
        self._records = {a: Record(tap, modules[a]) for a, tap in self._taps.items() if tap.port != "module"}
        self._outputs = [r for r in self._records.values() if not (r.tap.path or r.is_input)]
        self._returned = self._outputs  # those that have no hook
        # The output of the model as a whole, and a list that may yet grow, are there at the end only.
        self._can_stop = not self._outputs and not any(record.is_list for record in self._records.values())
        self._head = self._root
        self._asked = [(address, self._records.get(address)) for address in self._taps]
        self._learned: dict[bool, frozenset[Record]] = {}  # mode → what is a tensor that nobody overwrites
        self._simple = _NONE
        self._handles: list[RemovableHandle] = []
        self._is_attached = False
        self._captured: Captured | None = None
        self._recording = False
        self._mode = False
        self._stopping = False
        self._waiting = 0
        self._last: Record | None = None
        self._stoppable: set[Any] = set()

    def attach(self, *, for_run: bool = False) -> Capture:
        """Put the hooks on the model until `detach`; they record only inside a `with` block and `run`.

        Args:
            for_run: Only for `run`, which needs no hook to see what the model returns.
        """
        self._is_attached = True
        self._place_hooks(with_output=not for_run)
        return self

    def detach(self) -> None:
        """Take the hooks off the model."""
        self._is_attached = False
        for handle in self._handles:
            handle.remove()
        self._handles, self._returned = [], self._outputs

    def __enter__(self) -> Captured:
        self._begin()
        if self._returned:
            self._place_hooks(with_output=True)
        self._captured = Captured(tuple(self._taps), self._read)
        return self._captured

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        captured, self._captured = self._captured, None
        if captured is not None and kind is None:
            captured.close()
            self._learn()
        elif captured is not None:
            captured.clear()
        self._end()
        return False

    def end_so_far(self) -> str:
        """Return the module with which `run` ends such a forward, if the tapped modules are not called again.

        For use inside the `with` block, where the forward could not be run to its end. Empty for the end of the model.
        """
        return self._last.tap.path if self._last and self._may_cut() and self._was_simple() else ""

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Call the model and return the values of all addresses.

        Raises:
            WiringError: If a tapped module was not called.

        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> {address: value.shape for address, value in Capture(model, ["0", ""]).run(torch.ones(4, 2)).items()}
        {'0': torch.Size([4, 3]), '': torch.Size([4, 3])}
        """
        mode = self._root.training
        may_stop = self._can_stop and self.stop_early
        if may_stop or not self._is_attached or self._recording or mode not in self._learned:
            return self._run_with_care(args, kwargs)
        # By far the most calls: what follows is as little as can be.
        self._mode, self._recording = mode, True
        if not torch.compiler.is_dynamo_compiling():
            self._simple = self._learned[mode]
        try:
            output = self.model(*args, **kwargs)
            for record in self._returned:
                self._record(record, output)
            return self._collect()
        finally:
            self._end()

    def _run_with_care(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        kind_of_call = shape_of_call((args, kwargs)) if self._may_stop() else None
        self._begin()
        self._stopping, self._waiting = kind_of_call in self._stoppable, len(self._records)
        try:
            self._forward(kind_of_call, args, kwargs)
            return self._collect()
        finally:
            self._end()

    def _begin(self) -> None:
        if self._recording:
            message = "this Capture is recording already; a forward inside the forward needs one of its own"
            raise RuntimeError(message)
        if not self._is_attached:
            self._place_hooks(with_output=False)
        self._mode = self._root.training
        self._recording = True

    def _end(self) -> None:
        self._recording = self._stopping = False
        self._simple = _NONE
        for record in self._records.values():
            record.latest = None
            if record.calls or record.kept:
                record.forget()
        if not self._is_attached:
            self.detach()

    def _forward(self, kind_of_call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if self._records or kind_of_call is None:  # else parameters alone are asked for
                model = self._head if self._may_cut() else self.model
                output = model(*args, **kwargs)
                for record in self._returned:
                    self._record(record, output)
        except _Stop as stop:
            if stop.capture is not self:
                raise
        else:
            self._learn_to_stop(kind_of_call)

    def _collect(self) -> dict[str, Any]:
        """The values of all addresses; mostly tensors that are there as they were, at no cost."""
        values: dict[str, Any] = {}
        others = []
        for address, record in self._asked:
            latest = record.latest if record else None
            values[address] = latest
            if latest is None or latest._version != record.version:  # type: ignore[union-attr]  # noqa: SLF001
                others.append(address)
        if others:
            self._learn()
        for address in others:
            values[address] = self._read(address)
        return values

    def _learn(self) -> None:
        if not torch.compiler.is_dynamo_compiling():
            for record in self._records.values():
                record.learn(self._mode)
            self._learned[self._mode] = frozenset(r for r in self._records.values() if r.is_simple(self._mode))

    def _place_hooks(self, *, with_output: bool) -> None:
        outputs = set(self._outputs)
        for record in () if self._handles else self._records.values():
            record.module = resolve(self._root, record.tap.path, self._name)  # it may have been replaced meanwhile
            if record not in outputs:
                self._handles.append(self._hook(record))
        if self._can_stop and self.stop_early:
            self._head = head(self._root, [record.module for record in self._records.values()])
        if with_output:
            self._handles += [self._hook(record) for record in self._returned]
            self._returned = []

    def _hook(self, record: Record) -> RemovableHandle:
        # A copy of the model has the hooks of the original: modules are compared so that only the original records.
        if record.is_input:

            def before(module: nn.Module, args: Any, kwargs: Any) -> None:
                if self._recording and module is record.module:
                    self._record(record, record.input_of(args, kwargs))

            return record.module.register_forward_pre_hook(before, with_kwargs=True)

        def after(module: nn.Module, _args: Any, output: Any) -> None:
            if self._recording and module is record.module:
                self._record(record, output)

        return record.module.register_forward_hook(after)

    def _record(self, record: Record, value: Any) -> None:
        if record in self._simple:
            try:
                record.version = value._version  # noqa: SLF001
            except (AttributeError, RuntimeError):  # no tensor, or one of inference mode
                pass
            else:
                record.latest = value
                return
        self._keep(record, value)

    def _keep(self, record: Record, value: Any) -> None:
        if (
            torch.compiler.is_dynamo_compiling()
        ):  # in a graph a version counter means nothing; the copy is mostly fused away
            record.keep_copy(value)
            return
        self._last = record
        if record.calls:  # a second call: not as it was learned, so this forward goes to its end
            self._stopping = False
        self._waiting -= 1
        is_last = self._stopping and self._waiting == 0
        record.keep(value, self._mode, is_last)
        if is_last:
            raise _Stop(self)

    def _read(self, address: str) -> Any:
        tap = self._taps[address]
        if tap.port == "module":
            return take(resolve(self._root, tap.path, self._name), tap.fields, repr(str(tap)))
        record = self._records[address]
        values = record.values()
        if values:
            return values if record.is_list else values[-1]
        owner = f"{self._name} ({type(self._root).__name__})" if self._name else type(self._root).__name__
        part = f"module {tap.path!r} of {owner}" if tap.path else owner
        hint = "hooks see calls of the module, not of its 'forward' or weights; attach them before 'torch.compile'"
        message = f"{str(tap)!r}: {part} was not called"
        raise WiringError(message, hint=hint)

    def _may_cut(self) -> bool:
        return (
            self._can_stop
            and self.stop_early
            and not self._root.training
            and self.model is self._root
            and self._root._compiled_call_impl is None  # noqa: SLF001 - what `Module.compile()` sets
        )

    def _may_stop(self) -> bool:
        return self._may_cut() and not torch.compiler.is_dynamo_compiling()

    def _learn_to_stop(self, kind_of_call: Any) -> None:
        """After a whole forward: may the next one of this kind end with the module that was called last?"""
        may_stop = kind_of_call is not None and self._was_simple()
        self.last_module = self._last.tap.path if may_stop and self._last else ""
        if may_stop and len(self._stoppable) < _MOST_KINDS:
            self._stoppable.add(kind_of_call)
        else:
            self._stoppable.discard(kind_of_call)

    def _was_simple(self) -> bool:
        """Whether every tapped module was called once, and nothing minds an early end."""
        is_simple = all(record.calls == 1 for record in self._records.values())
        return is_simple and not any(map(_minds_an_early_end, self._root.modules()))


def _parse(address: object, source: str) -> Tap:
    if not isinstance(address, str):
        message = f"{address!r} is not an address"
        raise WiringError(message, hint="write it like 'layer1', 'layer1:in' or '' for the model's output")
    return Tap.parse(f"{source}.{address}" if address and not address.startswith(":") else f"{source}{address}")


def _minds_an_early_end(module: nn.Module) -> bool:
    """Sharded and offloaded modules put things back after their forward (FSDP2, accelerate's device hooks)."""
    return hasattr(module, "_hf_hook") or any(kind.__name__ == "FSDPModule" for kind in type(module).__mro__)
