"""Run the code of a page of the site: `python page.py PAGE.md`, in an empty folder.

Blocks run in order. Python blocks share their names, a YAML block whose first line is `# FILE.yaml` is written to this
file, and each line of a shell block that starts with `distill` is run in this process. A comment `<!-- setup` holds Python
that prepares the files which a reader already has.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from distill_core.cli import main

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$|^<!-- (setup)\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
NOT_RUN = ("pip install ", "hatch run ", "torchrun ", "#")


def run(page: Path) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        language, body = match[1] or match[3], match[2] or match[4]
        if language in ("python", "setup"):
            exec(compile(body, page.name, "exec"), names)
        elif language == "yaml" and (file := re.match(r"# (\w+\.yaml)\n", body)):
            Path(file[1]).write_text(body, encoding="utf-8")
        elif language == "sh":
            for line in body.splitlines():
                command(line)


def command(line: str) -> None:
    if not line.strip() or line.startswith(NOT_RUN):
        return
    words = shlex.split(line, comments=True)
    assert words[0] == "distill", line
    print(f"$ {line}", flush=True)
    sys.argv = words
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"{line}: exit code {end.code}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
