"""`distill run`: train and test an experiment."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import DistillError, TrainingError
from ...records import read_record
from .._advice import without_advice
from .._command import Command
from .._exit import refuse, with_notes
from .._options import (
    change_option,
    file_argument,
    json_option,
    overrides_argument,
    resume_option,
    run_output_option,
    trust_option,
)
from .._run_files import LOG, RESOLVED, RESULTS, has_checkpoint, newest_version

if TYPE_CHECKING:
    from ...experiment import Experiment
    from ...train import Callback, Trainer
    from .._changed import Changes
    from ._output import Output


@click.command(cls=Command)
@file_argument
@overrides_argument
@run_output_option
@resume_option
@change_option
@json_option
@trust_option
def run(
    file: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    resume: bool,
    change: bool,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """Train and test the experiment in FILE.

    --json prints the results and the output folder at the end; all other lines go to standard error.
    """
    from .._folder import choose_folder
    from .._record_output import record_output

    folder = choose_folder(file, output, resume=resume, num_processes=_num_processes())
    with record_output(as_json=as_json, is_main=_is_main()) as record:
        record["output"] = str(folder)
        record |= run_experiment(file, overrides, output=folder, resume=resume, change=change, trust=trust)
    _leave_processes()


def run_experiment(
    file: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    *,
    output: str | os.PathLike[str] | None = None,
    resume: bool = False,
    change: bool = False,
    trust: Sequence[str] = (),
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any]:
    """Check, build, train and test the experiment in a YAML file.

    `command.txt` in the folder is the command line that does the same. What it lacks, `callbacks`, is a comment below it.

    Args:
        file: The experiment.
        overrides: Overrides of the file's values, each as `key=value`.
        output: Output folder of the run; a new folder below `runs/` by default.
        resume: Resume the run in `output`, or start it if there is none.
        change: With `resume`, accept changes of the file that do not affect what was trained so far.
        trust: Packages whose objects the file may name besides the trusted ones.
        quiet: Write to the folder only, not to the terminal.
        callbacks: Further callbacks, after those of the experiment.

    Returns:
        The content of `results.json`.

    Raises:
        ConfigError: The file has problems, or the folder is not empty.
        TrustError: The file names something outside the trusted packages.
        DistillError: The run failed for a reason that the user can act on.
    """
    from .._code import keep_code
    from .._folder import choose_folder, prepare_folder, write_environment
    from .._load import build_experiment, load_document
    from ._command_line import command_of, record_of
    from ._refused import withdrawn_if_refused

    if change and not resume:
        refuse("--change requires --resume", "add --resume and --output DIR")
    file, changes = Path(file), {}
    document = load_document(file, overrides, trust)
    output = Path(output) if output else None
    folder = choose_folder(file, output, resume=resume, num_processes=_num_processes())
    command = command_of(file, overrides, folder, trust=trust, num_processes=_num_processes())
    with withdrawn_if_refused(folder) if _is_main() else contextlib.nullcontext():
        if _is_main():
            record = record_of(command, callbacks)
            changes = prepare_folder(
                folder, source=file, document=document, command=record, resume=resume, change=change
            )
        with _output(folder, quiet=quiet) as out, _logged(out, folder, command):
            _log_changes(folder, changes)
            trainer = _trainer(build_experiment(document, trust), folder, [*out.callbacks, *callbacks])
            if trainer.is_main:
                write_environment(folder, trainer.device, keep_code(folder, document, trust))
            return _train(trainer, folder, out, resume=resume, change=change)


def _log_changes(folder: Path, changes: Changes) -> None:
    if changes:
        from ...train.checkpoints import record_changes

        record_changes(folder, changes, config=newest_version(folder, RESOLVED).name)


def _leave_processes() -> None:
    """End the threads of the process group: one that still runs when the interpreter ends would abort the process."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def _trainer(experiment: Experiment, folder: Path, callbacks: Sequence[Callback]) -> Trainer:
    from ...train import Trainer

    return Trainer(experiment, output=folder, callbacks=callbacks, progress=False)


def _train(trainer: Trainer, folder: Path, out: Output, *, resume: bool, change: bool) -> dict[str, Any]:
    from ._results import results_table

    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "WORLD_SIZE" not in os.environ:
        out.line(
            "note: this is one process: `accelerate launch --cpu` starts only one; use `distill launch --processes N`"
        )
    if out.continues and not has_checkpoint(folder):
        out.line("there is no checkpoint yet: the run starts from the beginning")
    ended_at = _last_step(folder) if resume else None
    results = trainer.fit(resume=resume and has_checkpoint(folder), change=change)
    if trainer.is_main:
        if trainer.state.step == ended_at:
            out.line("the run was finished already: nothing was trained, and the test was repeated")
        out.show(results_table(results))
        out.line(f"in {folder}")
    return results


def _last_step(folder: Path) -> int | None:
    """Return the last step of a finished run in a folder, if there is one."""
    file = folder / RESULTS
    return read_record(file)["last"]["step"] if file.is_file() else None


@contextlib.contextmanager
def _output(folder: Path, *, quiet: bool) -> Iterator[Output]:
    from ._output import Output

    with Output(folder / LOG if _is_main() else None, None if quiet or not _is_main() else sys.stderr) as out:
        yield out


@contextlib.contextmanager
def _logged(out: Output, folder: Path, command: Sequence[str]) -> Iterator[None]:
    """Log the reason why the run ended."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        out.close_bar()
        out.log(str(interrupt) or "interrupted")
        again = shlex.join([*command, "--resume"])
        has_one = has_checkpoint(folder)
        interrupt.add_note(
            f"resume with: {again}" if has_one else f"there is no checkpoint yet; start again with: {again}"
        )
        raise
    except DistillError as error:
        out.log(with_notes(str(error), error))
        raise
    except Exception as error:
        from ...train import failure_note

        out.log(without_advice(traceback.format_exc()))
        if note := failure_note(error):
            message = f"{type(error).__name__}: {error}\n{note}"
            raise TrainingError(message) from error
        raise


def _num_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _is_main() -> bool:
    """Return whether this is the first, or only, process of the run."""
    return os.environ.get("RANK", "0") == "0"
