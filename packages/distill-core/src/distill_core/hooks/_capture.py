"""Recording of tensors inside a model while it runs, without changing the model."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from types import TracebackType
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from ..taps import take
from ._captured import Captured
from ._early_stop import EarlyStop, Stop, Wanted
from ._modules import parse_address, resolve, unwrap
from ._record import Record
from ._truncate import head

_NONE: frozenset[Record] = frozenset()
_version_of = attrgetter("_version")  # autograd's own counter of in-place writes


class Capture:
    """A recorder of the inputs and outputs of modules of a model.

    Addresses are those of `distill_core.taps` without the model's name: `layer1.0.bn2:in`, `fc`, or an empty string for
    the output of the model. Values are as they were when the module ran, even if the model overwrites them in place
    afterwards. Gradients flow through them. Tensors that are not overwritten are not copied.

    Hooks are on the model inside the `with` block, or from `attach()` to `detach()`. They record only inside the block.
    Attach before `torch.compile`: a compiled model ignores later hooks. After the block, only the mapping that it
    returned holds tensors.

    Args:
        model: The model; it may be wrapped by `torch.compile` or data parallelism.
        taps: Addresses relative to the model.
        stop_early: Let `run` end the forward after the last tapped value. An `nn.Sequential` is truncated there. In other
            models, the first call with inputs of a shape runs to its end and shows whether every tapped module is
            called once. Do not use it for a model in which the values of the inputs, rather than their shapes, decide
            how often a module is called. In training mode a forward ends early only if what is behind the last value
            updates no buffer and draws no random number. With `always`, shapes do not matter, and after `check_stop`
            neither does what is behind: its buffers stay as they are. A compiled model is only truncated. If `run`
            itself is compiled, the compiler removes what is not read.
        name: The model's name in an experiment, for messages.

    Attributes:
        model: The model that `run` calls; set it to the wrapped model after `torch.compile(model)`.

    Raises:
        WiringError: If an address is malformed or names a module that does not exist.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with Capture(model, ["0", "1:in"]) as taps:
    ...     output = model(torch.ones(4, 2))
    >>> taps["0"].shape, taps["0"] is taps["1:in"]
    (torch.Size([4, 3]), True)
    """

    def __init__(self, model: nn.Module, taps: Iterable[str], *, stop_early: Wanted = False, name: str = "") -> None:
        self.model = model
        self._name = name
        self._root = unwrap(model)
        self._taps = {address: parse_address(address, name or "model") for address in taps}
        modules = {address: resolve(model, tap.path, name) for address, tap in self._taps.items()}
        indexed = enumerate(self._taps.items())
        self._records = {a: Record(tap, modules[a], i) for i, (a, tap) in indexed if tap.port != "module"}
        self._outputs = [r for r in self._records.values() if not (r.tap.path or r.is_input)]
        self._returned = self._outputs  # those without a hook
        self._stop = EarlyStop(self._root, list(self._records.values()), stop_early)
        self._head = self._root
        # Mode → single tensors that are not overwritten. Only while attached, and for forwards that run to their end.
        self._learned: dict[bool, frozenset[Record]] = {}
        self._simple = _NONE  # those that put a tensor into `_found`, with its version; others keep values themselves
        self._found: list[Any] = []
        self._versions: list[int | None] = []
        self._keeping: list[Record] = []
        self._handles: list[RemovableHandle] = []
        self._is_attached = False
        self._captured: Captured | None = None
        self._recording = False
        self._mode = False

    @property
    def stop_early(self) -> Wanted:
        """Whether `run` ends the forward after the last tapped value."""
        return self._stop.wanted

    @stop_early.setter
    def stop_early(self, wanted: Wanted) -> None:
        self._stop.wanted = wanted
        self._learned.clear()

    @property
    def needs_check(self) -> bool:
        """Whether `always` has an effect in training mode, after `check_stop`."""
        return self._stop.is_possible and self._stop.wanted == "always"

    @property
    def last_module(self) -> str | None:
        """The module after which `run` ends; empty for the end of the model, None before the first run."""
        return self._stop.last_module

    def attach(self, *, for_run: bool = False) -> Capture:
        """Register the hooks until `detach`; they record only inside a `with` block and in `run`.

        Args:
            for_run: Register only the hooks that `run` needs. It takes the output of the model without a hook.
        """
        self._is_attached = True
        self._place_hooks(with_output=not for_run)
        return self

    def detach(self) -> None:
        """Remove the hooks from the model."""
        self._is_attached = False
        for handle in self._handles:
            handle.remove()
        self._handles, self._returned = [], self._outputs
        self._learned.clear()

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
        """Return the module after which `run` ends such a forward, if the tapped modules are not called again.

        Call it inside the `with` block, when the forward could not run to its end. Empty for the end of the model.
        """
        return self._stop.end_so_far(self.model)

    def check_stop(self, *args: Any, **kwargs: Any) -> bool:
        """Call the model and return whether each tapped module is called once, so that `always` may end the forward there.

        True also if nothing can end early, because the output of the model is tapped.
        """
        with self:
            self.model(*args, **kwargs)
            return self._stop.check()

    def run(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Call the model and return the values of all addresses.

        Raises:
            WiringError: If a tapped module was not called.

        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> {address: value.shape for address, value in Capture(model, ["0", ""]).run(torch.ones(4, 2)).items()}
        {'0': torch.Size([4, 3]), '': torch.Size([4, 3])}
        """
        mode = self._root.training
        simple = self._learned.get(mode)
        if simple is None or self._recording or torch.compiler.is_dynamo_compiling():
            return self._run_unlearned(args, kwargs)
        # The path of almost all calls: keep it short.
        self._mode, self._recording, self._simple = mode, True, simple
        self._found, self._versions = [None] * len(self._taps), [None] * len(self._taps)
        try:
            output = self.model(*args, **kwargs)
            for record in self._returned:
                self._record(record, output)
            # A tensor that was not overwritten costs nothing.
            if None not in self._versions and self._versions == list(map(_version_of, self._found)):
                return dict(zip(self._taps, self._found, strict=True))
            return self._collect()
        finally:
            self._end()

    def _run_unlearned(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        kind_of_call = self._stop.kind_of_call(self.model, args, kwargs)
        self._begin()
        self._stop.begin(kind_of_call)
        try:
            self._forward(kind_of_call, args, kwargs)
            return self._collect()
        finally:
            self._end()

    def _begin(self) -> None:
        if self._recording:
            message = "this Capture is already recording; a forward inside the forward needs a separate Capture"
            raise RuntimeError(message)
        if not self._is_attached:
            self._place_hooks(with_output=False)
        self._mode = self._root.training
        self._stop.begin()
        self._recording = True

    def _end(self) -> None:
        self._recording = False
        self._simple, self._found, self._versions = _NONE, [], []
        for record in self._keeping:
            record.forget()
        self._keeping.clear()
        if not self._is_attached:
            self.detach()

    def _forward(self, kind_of_call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if self._records or kind_of_call is None:  # otherwise only parameters are tapped
                model = self._head if self._stop.may_cut(self.model) else self.model
                output = model(*args, **kwargs)
                for record in self._returned:
                    self._record(record, output)
        except Stop as stop:
            if stop.owner is not self:
                raise
        else:
            self._stop.learn(kind_of_call)

    def _collect(self) -> dict[str, Any]:
        for record in self._simple:
            if (version := self._versions[record.index]) is not None:
                self._keeping.append(record)
                record.keep_tensor(self._found[record.index], version)
        self._learn()
        return {address: self._read(address) for address in self._taps}

    def _learn(self) -> None:
        if not torch.compiler.is_dynamo_compiling():
            for record in self._records.values():
                record.learn(self._mode)
            if not self._stop.may_end:
                self._learned[self._mode] = frozenset(r for r in self._records.values() if r.is_simple(self._mode))

    def _place_hooks(self, *, with_output: bool) -> None:
        outputs = set(self._outputs)
        for record in () if self._handles else self._records.values():
            record.module = resolve(self._root, record.tap.path, self._name)  # it may have been replaced
            if record not in outputs:
                self._handles.append(self._hook(record))
        if self._stop.may_end:
            self._head = head(self._root, [record.module for record in self._records.values()])
        if with_output:
            self._handles += [self._hook(record) for record in self._returned]
            self._returned = []

    def _hook(self, record: Record) -> RemovableHandle:
        # A copy of the model shares the hooks of the original. Modules are compared, so that only the original records.
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
                self._versions[record.index] = value._version  # noqa: SLF001
            except (AttributeError, RuntimeError):  # not a tensor, or a tensor of inference mode
                self._versions[record.index] = None
            else:
                self._found[record.index] = value
                return
        self._keep(record, value)

    def _keep(self, record: Record, value: Any) -> None:
        self._keeping.append(record)
        is_last = self._stop.note(record)
        if torch.compiler.is_dynamo_compiling():  # a graph has no version counters; most copies are fused away
            record.keep_copy(value)
        else:
            record.keep(value, self._mode, is_last)
        if is_last:
            raise Stop(self)

    def _read(self, address: str) -> Any:
        tap = self._taps[address]
        if tap.port == "module":
            return take(resolve(self._root, tap.path, self._name), tap.fields, repr(str(tap)))
        record = self._records[address]
        if values := record.values():
            return values if record.is_list else values[-1]
        owner = f"{self._name} ({type(self._root).__name__})" if self._name else type(self._root).__name__
        raise record.not_called(owner)
