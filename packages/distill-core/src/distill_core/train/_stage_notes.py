"""Notes on a stage that can run but looks like a mistake: logged when it starts, printed by `check --deep`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

from torch import nn

from ..data import Loader, SeedPath, Stream
from ..distributed import world_size
from ..errors import Problem
from ._stage_run import StageRun
from .step import cut_notes, length_note, one_sample_note, padding_notes, scheduler_note, slow_statistics_note

logger = logging.getLogger("distill")


def log_stage_notes(
    run: StageRun, models: Mapping[str, nn.Module], key: str, loader: Loader, seed_path: SeedPath
) -> None:
    """Log the lengths of the scheduler and the notes of a stage that starts."""
    if run.scheduler and (lengths := length_note(run.stage, run.num_steps, key)):
        logger.info("%s", lengths)
    for note in stage_notes(run, models, key, loader, seed_path):
        logger.warning("%s", note)


def stage_notes(
    run: StageRun, models: Mapping[str, nn.Module], key: str, loader: Loader | None, seed_path: SeedPath
) -> Iterator[Problem]:
    """Yield the notes, each with the key that it is about.

    Args:
        run: The stage, ready to run.
        models: All models by name.
        key: The key of the stage, `stages.0`.
        loader: Its loader; None if it is not known.
        seed_path: Its first epoch.
    """
    yield from run.distiller.shared_vocabulary.notes
    if run.stage.train is None:
        yield from _unnamed(run, models, key)
    if run.scheduler:
        steps = run.num_steps if loader is not None or run.stage.steps else None
        if note := scheduler_note(run.stage, run.scheduler, steps, key):
            yield note
    padding = padding_notes(run.stage, loader.dataset, world_size()) if loader is not None else []
    for note in [*cut_notes(run.stage, world_size()), *padding]:
        yield replace(note, key=f"{key}.{note.key}")
    if isinstance(loader, Stream) and (problem := loader.resume_problem(seed_path)):
        hint = "give a stream whose `state_dict` restores it, or a dataset with a length"
        yield Problem(problem, key=f"{key}.data", hint=hint)
    if loader is not None and (one_sample := one_sample_note(run.distiller, loader, seed_path, key)):
        yield one_sample
    if loader is not None or run.stage.steps:
        learning, batches = {id(p) for p in run.trainable.values()}, run.num_steps * run.stage.accumulate
        if slow := slow_statistics_note(run.distiller, learning, batches, key):
            yield slow


def _unnamed(run: StageRun, models: Mapping[str, nn.Module], key: str) -> Iterator[Problem]:
    """Yield a note that names the models that learn, if `train` is omitted and there are several."""
    learning = {id(parameter) for parameter in run.trainable.values()}
    names = []
    for name, model in models.items():
        if any(id(parameter) in learning for parameter in model.parameters()):
            names.append(name)
            learning -= {
                id(parameter) for parameter in model.parameters()
            }  # a second name of a model is not another model
    if len(names) > 1:
        message = f"`train` is omitted, so these models learn: {', '.join(names)}"
        yield Problem(message, key=key, hint=f"name those that should, such as `train: [{names[-1]}]`")
