"""Where the words of a run go: its log file and the terminal."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from rich.console import Console

from .._advice import without_advice
from ._progress import PlainLog

if TYPE_CHECKING:
    from ...train import Callback


def _ends_a_line(log: Path | None) -> bool:
    """Whether the last line is complete: a kill may have cut it short."""
    if log is None:
        return True
    with log.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"


class Output(logging.Handler):
    """Plain lines into a file; on a terminal a live bar, elsewhere the same plain lines.

    While it is open, what Distill logs (`logging.getLogger("distill")`) goes the same ways.

    Args:
        log: The log file, continued if there is one; none is written if left out.
        stream: The terminal or whatever stands in its place; nothing is shown if left out.

    Attributes:
        continues: Whether there was something in the log file already.
    """

    def __init__(self, log: Path | None, stream: TextIO | None) -> None:
        super().__init__(logging.INFO)
        self.continues = log is not None and log.is_file() and log.stat().st_size > 0
        self._file = log.open("a", encoding="utf-8") if log else None
        if self._file is not None and self.continues and not _ends_a_line(log):
            self._file.write("\n")
        self._console = Console(file=stream, soft_wrap=True) if stream else None
        self.callbacks: list[Callback] = []
        self._bar: Any = None
        if self._console is not None and self._console.is_terminal:
            from ._bar import LiveBar

            self._bar = LiveBar(self._console)
            self.callbacks = [PlainLog(self.log), self._bar]
        else:
            self.callbacks = [PlainLog(self.line)]

    def __enter__(self) -> Self:
        logging.getLogger("distill").addHandler(self)
        logging.getLogger("distill").setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("distill").removeHandler(self)
        logging.getLogger("distill").setLevel(logging.NOTSET)
        self.close_bar()
        if self._file is not None:
            self._file.close()

    def emit(self, record: logging.LogRecord) -> None:
        """A message of Distill's logger, as a line."""
        self.line(f"{record.levelname.lower()}: {without_advice(record.getMessage())}")

    def log(self, line: str) -> None:
        """A line for the log file only."""
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()

    def line(self, line: str) -> None:
        """A line for the log file and the terminal."""
        self.log(line)
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False)

    def show(self, table: Any) -> None:
        """A table: plain in the log file, and on standard output."""
        self.close_bar()
        if self._file is not None:
            Console(file=self._file, width=120).print(table)
        if self._console is not None:
            sys.stderr.flush()
            Console().print(table)

    def close_bar(self) -> None:
        """Give the terminal back."""
        if self._bar is not None:
            self._bar.close()
