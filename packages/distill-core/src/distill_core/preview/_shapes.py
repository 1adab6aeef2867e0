"""Execution on tensors without data, which separates code that needs values from code that is wrong."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ..tree import map_tensors, tensors

Result = TypeVar("Result")

_BUILT_IN = ("aten", "prim", "prims")
"""Namespaces of torch's own operators."""


class NeedsDataError(Exception):
    """Code needs the values of tensors that have none."""


@contextlib.contextmanager
def shapes_only() -> Iterator[None]:
    """Run operators on meta tensors by their shapes; one that needs values raises `NeedsDataError`.

    Tensors that code creates itself, such as sizes, keep their data until they are combined with tensors without data.
    """
    with _Operations(), _Conversions():  # type: ignore[no-untyped-call]
        yield


def by_shapes(run: Callable[[], Result]) -> Result:
    """Return the result of `run` on tensors without data.

    Models of transformers read the values of their masks unless they are being compiled. In that case, they use shapes.

    Raises:
        Exception: `run` fails; `needs_data` returns whether it fails because values are missing.
    """
    try:
        with shapes_only():
            return run()
    except Exception as error:
        if not needs_data(error):
            raise
    with shapes_only(), as_if_compiled():
        return run()


@contextlib.contextmanager
def as_if_compiled(enabled: bool = True) -> Iterator[None]:
    """Let `torch.compiler.is_compiling()` return True, so that models decide by shapes where they can; or False again."""
    public = vars(torch.compiler)
    before, public["is_compiling"] = public["is_compiling"], lambda: enabled
    try:
        yield
    finally:
        public["is_compiling"] = before


def needs_data(error: BaseException | None) -> bool:
    """Return whether an exception is a `NeedsDataError` or was caused by one."""
    while error is not None and not isinstance(error, NeedsDataError):
        error = error.__cause__ or error.__context__
    return error is not None


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not any(tensor.is_meta for tensor in tensors([args, kwargs])):
            return func(*args, **kwargs)
        if _writes_real(func, args, kwargs):
            msg = f"{func} writes tensors without data into one with data"
            raise NeedsDataError(msg)
        try:
            return func(*map_tensors(args, _to_meta), **map_tensors(kwargs, _to_meta))
        except Exception as error:
            if _needs_values(func, error, args, kwargs):
                msg = f"{func} needs values"
                raise NeedsDataError(msg) from error
            raise


class _Conversions(TorchFunctionMode):
    """A mode that refuses to convert tensors without data to NumPy arrays and strings, which is not an operator."""

    _refused = (Tensor.numpy, Tensor.__array__, Tensor.tolist, Tensor.__format__, Tensor.__dlpack__)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in self._refused and args[0].is_meta and args[1:] != ("",):
            msg = f"{func.__name__} needs values"
            raise NeedsDataError(msg)
        return func(*args, **(kwargs or {}))


def _to_meta(tensor: Tensor) -> Tensor:
    return tensor if tensor.is_meta else tensor.to("meta")


def _writes_real(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether an operator writes to a tensor that has data."""
    for index, argument in enumerate(func._schema.arguments):  # noqa: SLF001 - the schema has no public name
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            if any(not tensor.is_meta for tensor in tensors(value)):
                return True
    return False


def _needs_values(func: Any, error: Exception, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether an operator failed because it needs values, rather than because its arguments are wrong."""
    if isinstance(error, NotImplementedError) or torch.Tag.data_dependent_output in func.tags:
        return True
    if torch.Tag.dynamic_output_shape in func.tags:
        return func is not torch.ops.aten.index.Tensor  # dynamic for masks only, which raise NotImplementedError
    return func.namespace not in _BUILT_IN and _accepts_zeros(func, args, kwargs)


def _accepts_zeros(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a custom operator runs on zeros of the given shapes, on the CPU: its output's shape is not known."""
    try:
        func(*map_tensors(args, _zeros), **map_tensors(kwargs, _zeros))
    except Exception:  # noqa: BLE001 - an operator may raise anything
        return False
    return True


def _zeros(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu") if tensor.is_meta else tensor
