"""The commit of the current folder, read without running programs that its repository configures."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

_SETTINGS = {"core.fsmonitor": "false", "core.hooksPath": os.devnull}
_ENVIRONMENT = {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none"}


def git_state() -> dict[str, Any] | None:
    """Return the commit of the current folder and whether files differ from it; None outside a repository.

    The settings of a repository may name programs: a file monitor, hooks, filters, commands of a remote. An unpacked
    archive may contain such settings, so none of them runs. Filters of the user's own settings run.
    """
    command = shutil.which("git")
    if command is None:
        return None

    def answer(settings: dict[str, str], *words: str, codes: tuple[int, ...] = (0,)) -> str:
        environment = os.environ | _ENVIRONMENT | _as_environment(settings)
        result = subprocess.run(  # noqa: S603 — fixed arguments
            [command, *words], capture_output=True, text=True, check=False, timeout=10, env=environment
        )
        if result.returncode not in codes:
            result.check_returncode()
        return result.stdout.strip()

    try:
        commit = answer(_SETTINGS, "rev-parse", "HEAD")
        lines = answer(_SETTINGS, "config", "--show-scope", "--name-only", "--get-regexp", r"^filter\.", codes=(0, 1))
        settings = _SETTINGS | _without_filters(lines.splitlines())
        return {
            "commit": commit,
            "dirty": bool(answer(settings, "status", "--porcelain", "--ignore-submodules=dirty")),
        }
    except (OSError, subprocess.SubprocessError):
        return None


def _without_filters(lines: list[str]) -> dict[str, str]:
    """Return settings that disable the filters of the repository; a line is `scope<TAB>name`."""
    names = [name for scope, _, name in (line.partition("\t") for line in lines) if scope in ("local", "worktree")]
    return {name: "false" if name.endswith(".required") else "" for name in names}


def _as_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return settings as git's environment variables; `-c name=value` would split a name at its first `=`."""
    names = {f"GIT_CONFIG_KEY_{index}": name for index, name in enumerate(settings)}
    values = {f"GIT_CONFIG_VALUE_{index}": value for index, value in enumerate(settings.values())}
    return {"GIT_CONFIG_COUNT": str(len(settings)), **names, **values}
