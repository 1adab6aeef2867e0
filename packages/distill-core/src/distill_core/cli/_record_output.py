"""One JSON object on standard output in place of the lines for people, which go to standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, TextIO

from ..records import strict_json

_OUT: ContextVar[TextIO | None] = ContextVar("out", default=None)
"""Standard output within `lines_aside`."""


@contextlib.contextmanager
def record_output(*, as_json: bool, is_main: bool = True) -> Iterator[dict[str, Any]]:
    """Yield a record to fill; with `as_json`, print it as JSON at the end, and anything else to standard error.

    Args:
        as_json: Whether `--json` was given.
        is_main: Whether this process prints.

    >>> with record_output(as_json=False) as record:
    ...     print("a line for people")
    a line for people
    """
    record: dict[str, Any] = {}
    with lines_aside(as_json=as_json):
        yield record
    if as_json and is_main:
        print_json(record, ensure_ascii=False, default=str)


@contextlib.contextmanager
def lines_aside(*, as_json: bool) -> Iterator[None]:
    """Print to standard error with `as_json`, also what the code of an experiment prints; `print_json` is the exception."""
    if not as_json:
        yield
        return
    token = _OUT.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _OUT.reset(token)


def print_json(value: Any, **options: Any) -> None:
    """Print a value as JSON to standard output, also within `lines_aside`; `options` are those of `json.dumps`."""
    print(strict_json(value, indent=1, **options), file=_OUT.get())
