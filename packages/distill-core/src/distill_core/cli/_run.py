"""`distill run`: from a file to a folder with a trained student and its numbers."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DistillError, TrainingError
from ._advice import without_advice
from ._changed import newest_config
from ._exit import refuse, with_notes
from ._folder import LOG, RESOLVED, choose_folder, has_checkpoint, prepare_folder, remove_refused, write_environment
from ._load import build_experiment, load_document

if TYPE_CHECKING:
    from ..experiment import Experiment
    from ._output import Output


def run_experiment(
    file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    change: bool = False,
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> dict[str, Any]:
    """Check, build, train and test the experiment in a YAML file.

    Args:
        file: The experiment.
        overrides: Changes of the file, each as `key=value`.
        output: The folder of the run; a new one under `runs/` if left out.
        resume: Go on with the run in `output`, or begin it if there is none.
        change: With `resume`, accept changes of the file that do not concern what was trained so far.
        trust: Packages whose objects the file may name besides the trusted ones.
        quiet: Write to the folder only, not to the terminal.

    Returns:
        What `results.json` holds.

    Raises:
        ConfigError: The file cannot be used, or the folder is taken.
        TrustError: The file names something outside the trusted packages.
        DistillError: The run failed for a reason that the user can act on.
    """
    if change and not resume:
        refuse("--change goes on with a run whose file has changed", "give it with --resume and --output DIR")
    file, changes = Path(file), {}
    document = load_document(file, overrides, trust)
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    folder = choose_folder(file, Path(output) if output else None, resume=resume, num_processes=num_processes)
    command = ["distill", "run", str(file), *overrides, *(word for package in trust for word in ("--trust", package))]
    is_new = not folder.exists()
    if _is_main():
        changes = prepare_folder(folder, source=file, document=document, command=command, resume=resume, change=change)
    with _removed_if_refused(folder, is_new=is_new), _output(folder, quiet=quiet) as out, _told(out, folder, command):
        if changes:
            from ..train.checkpoints import record_changes

            record_changes(folder, changes, config=newest_config(folder, RESOLVED).name)
        return _train(build_experiment(document, trust), folder, out, resume=resume, change=change)


def _train(experiment: Experiment, folder: Path, out: Output, *, resume: bool, change: bool) -> dict[str, Any]:
    from ..train import Trainer
    from ._results import results_table

    trainer = Trainer(experiment, output=folder, callbacks=out.callbacks)
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "WORLD_SIZE" not in os.environ:
        out.line(
            "note: this is one process; `accelerate launch --cpu` starts no more, `distill launch --processes N` does"
        )
    if trainer.is_main:
        write_environment(folder, trainer.device)
    if out.continues and not has_checkpoint(folder):
        out.line("there is no checkpoint yet: the run starts at the beginning")
    results = trainer.fit(resume=resume and has_checkpoint(folder), change=change)
    if trainer.is_main:
        out.show(results_table(results))
        out.line(f"in {folder}")
    return results


@contextlib.contextmanager
def _output(folder: Path, *, quiet: bool) -> Iterator[Output]:
    from ._output import Output

    with Output(folder / LOG if _is_main() else None, None if quiet or not _is_main() else sys.stderr) as out:
        yield out


@contextlib.contextmanager
def _removed_if_refused(folder: Path, *, is_new: bool) -> Iterator[None]:
    """Leave no new folder behind where the run was refused before it trained."""
    try:
        yield
    except DistillError:
        if is_new and _is_main():
            remove_refused(folder)
        raise


@contextlib.contextmanager
def _told(out: Output, folder: Path, command: Sequence[str]) -> Iterator[None]:
    """Leave the reason for the end of the run in its log."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        out.close_bar()
        out.log(str(interrupt) or "interrupted")
        if has_checkpoint(folder):
            interrupt.add_note(f"go on with: {shlex.join([*command, '--output', str(folder), '--resume'])}")
        raise
    except DistillError as error:
        out.log(with_notes(str(error), error))
        raise
    except Exception as error:
        from ..train import location_of

        out.log(without_advice(traceback.format_exc()))
        if location := location_of(error):
            message = f"{type(error).__name__}: {error}\n{location}"
            raise TrainingError(message) from error
        raise


def _is_main() -> bool:
    """Whether this is the first, or the only, process of the run."""
    return os.environ.get("RANK", "0") == "0"
