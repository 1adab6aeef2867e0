"""Conversion to GGUF by llama.cpp's own script."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from ..errors import DistillError

SCRIPT = "convert_hf_to_gguf.py"
VARIABLE = "LLAMA_CPP"


def find_converter(given: Path | None, command: str) -> Path:
    """Return llama.cpp's converter: the given path, that in the variable `LLAMA_CPP`, or the one in `PATH`.

    Args:
        given: The script or the folder of llama.cpp, if named.
        command: The command that needs it, for the hint.

    Raises:
        DistillError: It does not exist.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        script = named / SCRIPT if named.is_dir() else named
        if script.is_file():
            return script
        source = "`--converter`" if given else f"the variable {VARIABLE}"
        message = f"{source} must be {SCRIPT} or the folder of llama.cpp, got {named}"
        raise DistillError(message, hint=_hint(command))
    if found := shutil.which(SCRIPT):
        return Path(found)
    message = f"--format gguf needs llama.cpp's {SCRIPT}, which is not in PATH, {VARIABLE} or `--converter`"
    raise DistillError(message, hint=_hint(command))


def _hint(command: str) -> str:
    return f"git clone --depth 1 https://github.com/ggml-org/llama.cpp && {command} --converter llama.cpp"


def convert(folder: Path, file: Path, converter: Path) -> str:
    """Convert a folder of transformers to a GGUF file, and return a sentence about it.

    A script in Python runs with this Python, which has torch and transformers; its own folder has its package `gguf`.

    Raises:
        DistillError: The converter failed or wrote something else.
    """
    starts = [sys.executable, str(converter)] if converter.suffix == ".py" else [str(converter)]
    command = [*starts, str(folder), "--outfile", str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  the user's own converter
    if result.returncode:
        last = next(reversed(result.stderr.strip().splitlines()), f"it ended with {result.returncode}")
        message = f"{converter.name} failed: {last}"
        raise DistillError(message, hint=f"it was called as: {shlex.join(command)}")
    if not _is_gguf(file):
        message = f"{converter.name} did not write a GGUF file"
        raise DistillError(message, hint=f"it was called as: {shlex.join(command)}")
    return f"converted by {converter.name} from a folder of transformers; outputs not compared"


def _is_gguf(file: Path) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as opened:
        return opened.read(4) == b"GGUF"
