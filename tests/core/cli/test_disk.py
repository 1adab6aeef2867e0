"""A full or read-only disk ends a command with one sentence."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from distill_core.cli._exit import guarded


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (errno.ENOSPC, "the disk is full ('runs/x')\n"),
        (errno.EROFS, "the disk is read-only ('runs/x')\n"),
        (errno.EDQUOT, "the disk quota is used up ('runs/x')\n"),
    ],
)
def test_a_disk_that_takes_nothing(code, sentence, capsys):
    def write():
        raise OSError(code, os.strerror(code), "runs/x")

    assert guarded(write) == 1
    assert capsys.readouterr().err == sentence


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_write_that_fails(capsys):
    def write():
        with Path("/dev/full").open("w") as file:
            file.write("x")

    assert guarded(write) == 1
    assert capsys.readouterr().err == "the disk is full\n"
