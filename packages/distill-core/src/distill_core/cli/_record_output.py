"""One JSON object on standard output in place of the lines for people, which go to standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from ..records import strict_json


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
    if not as_json:
        yield record
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield record
    if is_main:
        print(strict_json(record, indent=1, ensure_ascii=False, default=str))
