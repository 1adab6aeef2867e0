"""`distill check`: find the problems of a file, and with `--deep` those of its models and tensors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._command import Command
from .._exit import refuse
from .._options import file_argument, json_option, overrides_argument, trust_option
from .._record_output import lines_aside, print_json

if TYPE_CHECKING:
    from ...config import Document


@click.command(cls=Command)
@file_argument
@overrides_argument
@click.option(
    "--deep", is_flag=True, help="Also build the models without memory or data, run them, and print a plan of the run."
)
@click.option("--memory", is_flag=True, help="With --deep: also print the memory of a step by part, per process.")
@click.option("--processes", type=click.IntRange(1), default=1, help="With --memory: number of processes.")
@json_option
@trust_option
def check(
    file: Path,
    overrides: tuple[str, ...],
    deep: bool,
    memory: bool,
    processes: int,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """Check FILE for problems without running it.

    Nothing that it names is imported or called. --json prints the problems as a list, and with --deep the plan.
    """
    if memory and not deep:
        refuse("--memory needs --deep", "write: --deep --memory")
    with lines_aside(as_json=as_json):
        check_file(file, overrides, deep=deep, as_json=as_json, trust=trust, memory=processes if memory else 0)


def check_file(
    file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    deep: bool = False,
    as_json: bool = False,
    trust: Sequence[str] = (),
    memory: int = 0,
) -> None:
    """Check a file and print that it has no problems; with `deep`, also print the plan of the run.

    With `memory`, a number of processes, the plan includes the memory of a step on each of them.

    With `as_json`, print `problems`, a list of records, and with `deep` the `plan`; problems are raised as well.

    Raises:
        ConfigError: The file has problems; all are reported.
        TrustError: The file names something outside the trusted packages.
    """
    from .._load import load_document

    if as_json:
        _check_as_json(Path(file), overrides, deep=deep, trust=trust, memory=memory)
        return
    document = load_document(Path(file), overrides, trust)
    text = f"\n\n{_deep(document, trust)}" if deep else ""
    text += _memory_text(_memory(document, trust, memory), memory) if memory else ""
    print(f"{file}: no problems ({', '.join(_counts(document))}){_not_built(document)}{text}")


def _memory(document: Document, trust: Sequence[str], processes: int) -> list[dict[str, int]]:
    """Return the memory of a step of each stage on one process, by part."""
    from dataclasses import asdict

    from ...preview import build_on_meta, predict_memory

    return [asdict(stage) for stage in predict_memory(build_on_meta(document, trust), processes)]


def _memory_text(stages: Sequence[Mapping[str, int]], processes: int) -> str:
    lines = []
    for number, stage in enumerate(stages, 1):
        lines += ["", f"memory of a step of stage {number}, on each of {processes} processes"]
        lines += [f"  {part:12}{size / 2**20:12,.2f} MiB" for part, size in stage.items()]
    return "\n".join(["", *lines])


def _check_as_json(file: Path, overrides: Sequence[str], *, deep: bool, trust: Sequence[str], memory: int) -> None:
    """Print the problems of a file, and the plan of its run, as JSON; raise the problems."""
    from dataclasses import asdict

    from ...config import refuse
    from ...errors import ConfigError
    from ...preview import build_on_meta, preview
    from .._load import load_document

    plan: dict[str, Any] = {}
    try:
        document = load_document(file, overrides, trust)
        if deep:
            found = preview(build_on_meta(document, trust), document)
            plan = asdict(found)
            refuse(found.problems)
            plan |= {"memory": _memory(document, trust, memory)} if memory else {}
    except ConfigError as error:
        print_json({"problems": [asdict(problem) for problem in error.problems]}, default=str)
        raise
    print_json({"problems": [], **({"plan": plan} if deep else {})}, default=str)


def _deep(document: Document, trust: Sequence[str]) -> str:
    """Return the preview of a document's run as text, or refuse its problems."""
    from ...config import refuse
    from ...preview import build_on_meta, preview
    from ._preview_text import preview_text

    record = preview(build_on_meta(document, trust), document)
    refuse(record.problems)
    return preview_text(record)


def _not_built(document: Document) -> str:
    """Return a line for each model that the run does not build."""
    from .._cached_models import models_not_built

    names = models_not_built(document)
    return "".join(
        f"\n{name}: not built; the run reads its values from cache.{name}, which must be complete" for name in names
    )


def _counts(document: Document) -> list[str]:
    """Return the number of models, datasets, stages and callbacks in the file."""
    sizes = {str(key.value): len(value.value) for key, value in document.root.value if isinstance(value.value, list)}
    names = {"models": "model", "data": "dataset", "stages": "stage", "callbacks": "callback"}
    return [f"{sizes[key]} {name}{'s' * (sizes[key] != 1)}" for key, name in names.items() if key in sizes]
