"""The command: inspect teacher and data, print candidate students with their costs here, and write an experiment."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from ....number_text import short
from ....preview import ExampleInputs
from ....report.comparison import ModelCost
from ..._columns import aligned
from ..._exit import refuse
from ._boxes import box_recipe, box_students
from ._boxes import with_student as with_box_student
from ._images import image_recipe, image_students, proposed_names
from ._images import with_student as with_image_student
from ._models import Call, costs_of
from ._own_data import BoxFiles, OwnData, own_data
from ._own_images import ImageFolder, ImageTable
from ._recipe import Candidate, Recipe, completed
from ._texts import text_recipe, text_students

SHARE = 0.55
"""The greatest share of the teacher's size of the student that is chosen: about a half."""


def write_experiment(
    file: Path, teacher: str, data: Path, student: str | None, trust: Sequence[str] = ()
) -> dict[str, Any]:
    """Write an experiment for a teacher and data, print candidate students and return what was printed.

    Args:
        file: The output file; its folder is created.
        teacher: The teacher: an import path, a name of the zoo or of timm, or a folder of transformers, with arguments.
        data: A file or folder; see `LAYOUTS`.
        student: The student, named like the teacher; by default the largest candidate of half of the teacher's FLOPs that is
            faster here.
        trust: Packages whose models may be built besides the trusted ones.

    Raises:
        ConfigError: The data have no known layout, or a model cannot be built or does not fit them.
    """
    if file.exists():
        refuse(f"{file} exists", "choose another name: no file is overwritten")
    found = own_data(data.expanduser())
    recipe, own, example, call = _recipe(found, teacher, trust)
    students = _students(found, call, own, example, student, trust)
    costs = costs_of({"": own, **{each.name: each.model for each in students}}, example)
    sizes = {name: cost.parameters if isinstance(found, BoxFiles) else cost.flops for name, cost in costs.items()}
    smaller = [each for each in students if student or sizes[each.name] < sizes[""]]
    if not smaller:
        refuse(f"no candidate student is smaller than {teacher}", "name one: --student MODEL")
    # An untrained detector's latency depends on the boxes that it proposes; its size stands for it.
    seconds = sizes if isinstance(found, BoxFiles) else {name: cost.seconds for name, cost in costs.items()}
    smaller.sort(key=lambda each: seconds[each.name])
    chosen = _chosen(smaller, sizes, seconds)
    notes = [*recipe.notes, *_slow(chosen, seconds, given=student is not None)]
    text = _with_student(found, recipe, call, chosen, example, trust)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(completed(text, file, chosen), encoding="utf-8")
    print("\n".join([f"data: {recipe.about}", *notes, "", *_table(teacher, smaller, costs, chosen), ""]))
    name = shlex.quote(str(file))
    commands = [f"distill check {name} --deep", f"distill run {name}"]
    print("\n    ".join([f"{file} written\n", *commands]))
    students_found = [{"name": each.name, **asdict(costs[each.name]), "chosen": each is chosen} for each in smaller]
    return {
        "files": [str(file)], "data": recipe.about, "notes": notes,
        "teacher": {"name": teacher, **asdict(costs[""])}, "students": students_found, "commands": commands,
    }  # fmt: skip


def _recipe(data: OwnData, teacher: str, trust: Sequence[str]) -> tuple[Recipe, nn.Module, ExampleInputs, Call]:
    if isinstance(data, ImageFolder | ImageTable):
        return image_recipe(data, teacher, trust)
    return box_recipe(data, teacher, trust) if isinstance(data, BoxFiles) else text_recipe(data, teacher, trust)


def _students(
    data: OwnData, call: Call, own: nn.Module, example: ExampleInputs, student: str | None, trust: Sequence[str]
) -> list[Candidate]:
    if isinstance(data, ImageFolder | ImageTable):
        return image_students(data, [student] if student else proposed_names(call, example), trust, example)
    if isinstance(data, BoxFiles):
        return box_students(data, student, call, example, trust)
    return text_students(call, own, student, trust)


def _with_student(
    data: OwnData, recipe: Recipe, call: Call, student: Candidate, example: ExampleInputs, trust: Sequence[str]
) -> str:
    if isinstance(data, ImageFolder | ImageTable):
        return with_image_student(recipe, data, call, student, example, trust)
    if isinstance(data, BoxFiles):
        return with_box_student(recipe, data, call, student, example, trust)
    return recipe.text


def _chosen(students: Sequence[Candidate], sizes: Mapping[str, float], seconds: Mapping[str, float]) -> Candidate:
    """Return the largest student of about half of the teacher's size that is faster than it; otherwise the fastest one.

    Args:
        students: The students.
        sizes: FLOPs by name, and of the teacher by the empty name; parameters of detectors, whose FLOPs depend on the boxes
            that they propose.
        seconds: Latencies, by the same names.
    """
    fitting = [each for each in students if sizes[each.name] <= SHARE * sizes[""] and seconds[each.name] < seconds[""]]
    if fitting:
        return max(fitting, key=lambda each: sizes[each.name])
    return min(students, key=lambda each: seconds[each.name])


def _slow(chosen: Candidate, seconds: Mapping[str, float], *, given: bool) -> list[str]:
    """Return a note if the student is not faster than its teacher."""
    if seconds[chosen.name] < seconds[""]:
        return []
    subject = "the student is not" if given else "no candidate is"
    return [f"{subject} faster than the teacher, one sample at a time on this machine"]


def _table(teacher: str, students: Sequence[Candidate], costs: dict[str, ModelCost], chosen: Candidate) -> list[str]:
    names = {"": f"teacher: {teacher}", **{each.name: f"student: {each.name}" for each in students}}
    rows = [("", "parameters", "FLOPs", "one sample here", "")]
    for key, name in names.items():
        cost = costs[key]
        share = _speed(costs[""].seconds / max(cost.seconds, 1e-9)) if key else ""
        mark = "  ← in the file" if key == chosen.name else ""
        rows.append((name, short(cost.parameters), short(cost.flops), f"{cost.seconds * 1e3:.1f} ms", share + mark))
    return aligned(rows)


def _speed(ratio: float) -> str:
    """Return the speed relative to the teacher's.

    >>> _speed(2.04), _speed(0.5)
    ('2.0 × as fast', '2.0 × as slow')
    """
    return f"{ratio:.1f} × as fast" if ratio >= 1 else f"{1 / ratio:.1f} × as slow"
