"""The end of a command: the error message on the terminal and the exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from ..errors import ConfigError, DistillError, PeerError, Problem
from ._advice import without_advice
from ._ranks import leave_reason

DONE = 0
FAILED = 1
INTERRUPTED = 130
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
}


def guarded(action: Callable[[], object], *, debug: bool = False) -> int:
    """Call `action` and return the exit code: 0 done, 1 failed, 2 bad input, 3 refused for trust, 130 interrupted.

    A `DistillError` is meant for the user: only its message is printed. Any other exception comes from user code or a
    bug, and its traceback is printed.

    Args:
        action: The body of the command.
        debug: Also print the traceback of a `DistillError`.
    """
    try:
        action()
        sys.stdout.flush()
    except DistillError as error:
        reason = with_notes(str(error), error)
        leave_reason(reason, is_secondhand=isinstance(error, PeerError))
        print(without_advice(traceback.format_exc()).rstrip() if debug else reason, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        print(with_notes(str(interrupt) or "interrupted", interrupt), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader has closed: `distill show FILE | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:  # noqa: BLE001 — the outermost frame: every error becomes an exit code
        disk = _disk_failure(error)
        reason = with_notes(disk or f"{type(error).__name__}: {error}", error)
        leave_reason(reason)
        print(reason if disk and not debug else without_advice(traceback.format_exc()).rstrip(), file=sys.stderr)
        return FAILED
    return DONE


def _disk_failure(error: Exception) -> str:
    """Return the failure of the disk; an empty string for any other error."""
    if not isinstance(error, OSError) or error.errno not in _DISK:
        return ""
    return _DISK[error.errno] + (f" ('{error.filename}')" if error.filename else "")


def with_notes(message: str, error: BaseException) -> str:
    """Return a message with the error's notes and without a library's advice to run code."""
    return without_advice("\n".join([message, *getattr(error, "__notes__", ())]))


def refuse(message: str, hint: str = "") -> NoReturn:
    """Raise an error about the arguments of the command line.

    Raises:
        ConfigError: Always.
    """
    raise ConfigError([Problem(message, hint=hint)])
