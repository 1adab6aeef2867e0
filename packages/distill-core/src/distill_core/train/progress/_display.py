"""The display that fits where a run takes place."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..callbacks import Callback
from ._lines import PlainLog

if TYPE_CHECKING:
    from rich.console import Console

    from ._bar import LiveBar


def displays(wanted: bool) -> list[Callback]:
    """Return the display of a run started from Python; none if it is not wanted.

    It is a live bar if standard error is a terminal, a bar below the cell in a notebook, and plain lines on standard error
    elsewhere.

    Args:
        wanted: Whether to show the run.
    """
    if not wanted:
        return []
    if in_notebook():
        from ._notebook import NotebookBar

        return [NotebookBar()]
    if sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console

        return [live_bar(Console(stderr=True, soft_wrap=True))]
    return [PlainLog(_print)]


def live_bar(console: Console) -> LiveBar:
    """Return a live bar on a terminal."""
    from ._bar import LiveBar

    return LiveBar(console)


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextlib.contextmanager
def closed(callbacks: Sequence[object]) -> Iterator[None]:
    """Close the callbacks at the end, also after an error: the terminal is free again, the runs of trackers are ended."""
    with contextlib.ExitStack() as stack:
        for callback in reversed(callbacks):
            if isinstance(callback, Callback):
                stack.callback(callback.close)
        yield


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
