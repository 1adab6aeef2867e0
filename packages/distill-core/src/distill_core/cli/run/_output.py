"""The output of a run: its log file and the terminal."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from rich.console import Console

from ...train.progress import PlainLog, live_bar
from .._advice import without_advice

if TYPE_CHECKING:
    from ...train import Callback


def _ends_a_line(log: Path | None) -> bool:
    """Return whether the last line is complete: a killed process may have left a partial line."""
    if log is None:
        return True
    with log.open("rb") as file:
        file.seek(-1, 2)
        return file.read() == b"\n"


class Output(logging.Handler):
    """A log file with plain lines, and a live bar on a terminal or the same plain lines elsewhere.

    While it is open, records of `logging.getLogger("distill")` are written to both.

    Args:
        log: The log file; an existing file is appended to. None writes no file.
        stream: The terminal or its replacement. None shows nothing.

    Attributes:
        continues: Whether the log file existed and was not empty.
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
            self._bar = live_bar(self._console)
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
        """Write a record of Distill's logger as a line."""
        self.line(f"{record.levelname.lower()}: {without_advice(record.getMessage())}")

    def log(self, line: str) -> None:
        """Write a line to the log file only."""
        if self._file is not None:
            self._file.write(line + "\n")
            self._file.flush()

    def line(self, line: str) -> None:
        """Write a line to the log file and the terminal."""
        self.log(line)
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False)

    def show(self, table: Any) -> None:
        """Write a table to the log file and to standard output."""
        self.close_bar()
        if self._file is not None:
            Console(file=self._file, width=120).print(table)
        if self._console is not None:
            sys.stderr.flush()
            Console().print(table)

    def close_bar(self) -> None:
        """Close the live bar, if any."""
        if self._bar is not None:
            self._bar.close()
