"""A preview as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...feature import Feature
from ...number_text import counted
from .._columns import Line, aligned

if TYPE_CHECKING:
    from ...errors import Problem
    from ...experiment import Inputs
    from ...preview import ForwardPreview, Preview, StagePreview, TermPreview


def preview_text(preview: Preview) -> str:
    """Return a preview as blocks of aligned lines: models, stages, metrics."""
    models = [(model.name, f"{model.kind}, {model.num_parameters:,} parameters") for model in preview.models]
    blocks = ["\n".join(["models", *_indented(models)])]
    for number, stage in enumerate(preview.stages):
        notes = [*stage.notes, *(preview.notes if number == 0 else ())]
        blocks.append(_stage_text(stage, len(preview.stages), notes))
    metrics = [(each.split, each.name, each.kind, _inputs_text(each.inputs)) for each in preview.metrics]
    if metrics:
        blocks.append("\n".join(["metrics", *_indented(metrics)]))
    return "\n\n".join(blocks)


def _indented(lines: Sequence[Line]) -> list[str]:
    return [f"  {line}" for line in aligned(lines)]


def _stage_text(stage: StagePreview, num_stages: int, notes: Sequence[Problem]) -> str:
    scheduler = f", {stage.scheduler} each {stage.scheduler_step}" if stage.scheduler else ""
    blocks: dict[str, list[Line]] = {
        "losses": [
            (_weight_text(term), term.name, _loss_text(term), _inputs_text(term.inputs)) for term in stage.terms
        ],
        "taps": [(tap.tap, tap.shape, tap.dtype) for tap in stage.taps],
        "trains": [
            (each.name, f"{each.num_trainable:,} of {each.num_parameters:,} parameters") for each in stage.trainable
        ],
        "runs": [(each.model, _forward_text(each)) for each in stage.forwards],
    }
    length = counted(stage.epochs, "epoch") if stage.steps is None else counted(stage.steps, "step")
    lines = [f"stage {stage.index + 1}/{num_stages}: {length}, {stage.optimizer}{scheduler}"]
    for name, block in blocks.items():
        lines += [f"  {name if number == 0 else '':8}{line}" for number, line in enumerate(aligned(block))]
    return "\n".join([*lines, *(f"  note    {_note_text(note)}" for note in notes)])


def _note_text(note: Problem) -> str:
    """Return a note in one line."""
    text = " ".join(f"{note.key}: {note.message}".split() if note.key else note.message.split())
    return f"{text}; {note.hint}" if note.hint else text


def _weight_text(term: TermPreview) -> str:
    return f"{term.weight} ·" if isinstance(term.weight, str) else f"{term.weight:g} ·"


def _loss_text(term: TermPreview) -> str:
    return term.loss + (" (separate gradient)" if term.separate_gradient else "")


def _inputs_text(inputs: Inputs) -> str:
    return ", ".join(f"{name} = {_entry_text(entry)}" for name, entry in inputs.items())


def _entry_text(entry: str | Feature | Sequence[str | Feature]) -> str:
    if isinstance(entry, Feature):
        return f"{entry.tap} as {entry.as_}"
    return entry if isinstance(entry, str) else str([_entry_text(each) for each in entry])


def _forward_text(forward: ForwardPreview) -> str:
    end = f", up to '{forward.last_module}' (module {forward.num_run} of {forward.num_modules})"
    if not forward.frozen:
        return "with gradients" + (end if forward.last_module else "")
    settings = forward.settings
    options = [f"in {settings.precision}"] * (settings.precision is not None) + ["compiled"] * bool(settings.compile)
    options += [settings.input_text] * bool(settings.input_text)
    mode = " ".join(["frozen, in", forward.mode, "mode", *options])
    is_known = bool(forward.complete_flops and forward.flops)
    work = f", {_flops_text(forward.flops, forward.complete_flops)} per batch" if is_known else ""
    if not forward.last_module:
        return f"{mode}, complete{work}"
    saved = ""
    if is_known and forward.flops < forward.complete_flops:
        saved = f" ({1 - forward.flops / forward.complete_flops:.0%} saved)"
    return f"{mode}{end}{work}{saved}"


def _flops_text(flops: int, complete: int) -> str:
    """Return both numbers in one unit.

    >>> _flops_text(341_000_000, 1_002_000_000)
    '0.341 of 1 GFLOPs'
    """
    size, unit = next((pair for pair in ((1e9, "GFLOPs"), (1e6, "MFLOPs")) if complete >= pair[0]), (1, "FLOPs"))
    shown = [f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for number in (flops / size, complete / size)]
    return f"{shown[0]} of {shown[1]} {unit}"
