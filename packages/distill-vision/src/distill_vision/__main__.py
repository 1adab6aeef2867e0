"""Run the commands of this package as `python -m distill_vision`, without the current folder on the import path."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # `-m` puts the current folder there, where any file may be called torch.py

    from .data.shapes import command

    command(sys.argv[1:])
