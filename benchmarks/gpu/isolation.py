"""Runs a part in a separate process with a time limit, so that nothing it does can stop the others."""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import torch
from part import Part, Setting, measured


@dataclass
class Outcome:
    """What a part has measured.

    Attributes:
        rows: The cells of each row that was measured.
        seconds: The time that it took.
        problem: Why it ended early; empty if it did not.
    """

    rows: list[list[str]] = field(default_factory=list)
    seconds: float = 0.0
    problem: str = ""


def load(name: str) -> Part:
    """Return the part with this name: the constant `PART` of its module."""
    part: Part = importlib.import_module(f"parts.{name}").PART
    return part


def run(name: str, setting: Setting, seconds: float, load_part: Callable[[str], Part] = load) -> Outcome:
    """Return what a part measures within a number of seconds.

    Args:
        name: The part.
        setting: Device and size.
        seconds: The time after which its process is killed.
        load_part: Returns the part.
    """
    # A GPU cannot be used in a forked process. Without one, a fork need not import anything again.
    context = multiprocessing.get_context("fork" if setting.device == "cpu" else "spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, setting, sender, load_part))  # type: ignore[attr-defined]
    outcome, start = Outcome(), time.monotonic()
    process.start()
    sender.close()
    try:
        outcome.problem = _receive(receiver, outcome, start + seconds)
    except EOFError:
        process.join()
        outcome.problem = f"its process ended with exit code {process.exitcode}"
    if outcome.problem.startswith("stopped"):
        process.kill()
    process.join(5)
    if process.is_alive():
        process.kill()
    outcome.seconds = time.monotonic() - start
    return outcome


def _receive(receiver: Connection, outcome: Outcome, deadline: float) -> str:
    """Add the rows that arrive until a deadline; return the problem with which they end, if any."""
    start = time.monotonic()
    while receiver.poll(max(0.0, deadline - time.monotonic())):
        message = receiver.recv()
        if isinstance(message, str):
            return message
        outcome.rows.append(message)
    return f"stopped after {deadline - start:.0f} s"


def _measure(name: str, setting: Setting, sender: Connection, load_part: Callable[[str], Part]) -> None:
    warnings.simplefilter("ignore")  # from other libraries
    logging.disable(logging.WARNING)
    try:
        for label, measure in load_part(name).rows(setting):
            sender.send(measured(label, measure))
            if setting.device == "cuda":  # the models of the row may be in cycles
                gc.collect()
                torch.cuda.empty_cache()
        sender.send("")
    except Exception as error:  # noqa: BLE001 — reported in the page
        sender.send(f"failed: {type(error).__name__}: {error}")
