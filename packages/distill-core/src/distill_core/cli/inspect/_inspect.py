"""`distill inspect`: the taps of a model with shapes, parameters and FLOPs, and those of a pair that fit together."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from .._command import Command
from .._exit import refuse
from .._options import json_option, trust_option
from .._record_output import lines_aside, print_json

if TYPE_CHECKING:
    from torch import nn

    from ...preview import ExampleInputs, FeaturePair, ModelSummary


@click.command("inspect", cls=Command)
@click.argument("model", metavar="MODEL", help="Import path, folder of transformers, or a name of the zoo or of timm.")
@click.argument("arguments", metavar="[KEY=VALUE]...", nargs=-1, help="Arguments of the model: num_classes=10.")
@click.option(
    "--input",
    "inputs",
    metavar="[NAME=]SIZES[:DTYPE]",
    multiple=True,
    help="Shape of an input with its batch: 1,3,64,64 or input_ids=1,128:int64.",
    show_default="what the model says, or a guess from its first layer",
)
@click.option("--match", metavar="PATTERN", help="List only taps that match, such as 'layer*'.")
@click.option(
    "--pair",
    metavar="STUDENT",
    help="Propose taps of MODEL, as teacher, and of STUDENT that fit together: 'resnet18 num_classes=10'.",
)
@json_option
@trust_option
def inspect_command(
    model: str,
    arguments: tuple[str, ...],
    inputs: tuple[str, ...],
    match: str | None,
    pair: str | None,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """List the taps of a model with shapes and costs.

    Each tap has its kind, the shape of its output, its parameters and floating-point operations. The model is built without memory for its weights where its code allows it.
    """
    if match and pair:
        refuse("--match and --pair exclude each other", "omit one")
    with lines_aside(as_json=as_json):
        if pair is not None:
            name, *changes = shlex.split(pair) or [""]
            print_pairs([model, *arguments], [name, *changes], inputs, as_json=as_json, trust=trust)
        else:
            print_taps(model, arguments, inputs, match=match, as_json=as_json, trust=trust)


def print_taps(
    name: str,
    arguments: Sequence[str] = (),
    inputs: Sequence[str] = (),
    *,
    match: str | None = None,
    as_json: bool = False,
    trust: Sequence[str] = (),
) -> None:
    """Print every module of a model with the shape of its output, its parameters and its FLOPs.

    Args:
        name: Import path, folder of transformers, or a name of the zoo or of timm.
        arguments: Arguments of the model, `key=value`.
        inputs: Shapes of the inputs, `[name=]sizes[:dtype]`.
        match: A pattern of taps with `*`; all by default.
        as_json: Print JSON.
        trust: Packages whose models may be built besides the trusted ones.

    Raises:
        ConfigError: The model cannot be built or does not accept the inputs, or no tap matches.
        TrustError: The model is outside the trusted packages.
    """
    from ._inspect_text import taps_text

    _, example, summary = _summary([name, *arguments], inputs, trust)
    taps = [module for module in summary.modules if match is None or fnmatchcase(module.tap, match)]
    if not taps:
        refuse(f"no tap matches '{match}'", "omit --match to list all")
    if as_json:
        shapes = {**_shapes(example), "source": example.source}
        print_json({"inputs": shapes, "modules": [asdict(module) for module in taps]})
    else:
        print(taps_text(summary, taps, example))


def print_pairs(
    teacher: Sequence[str],
    student: Sequence[str],
    inputs: Sequence[str] = (),
    *,
    as_json: bool = False,
    trust: Sequence[str] = (),
) -> None:
    """Print taps of a teacher and a student at the same stages, as `inputs` of a feature loss.

    Args:
        teacher: Name and arguments of the teacher.
        student: Name and arguments of the student.
        inputs: Shapes of the inputs of both, `[name=]sizes[:dtype]`; by default, those of the teacher.
        as_json: Print JSON.
        trust: Packages whose models may be built besides the trusted ones.

    Raises:
        ConfigError: A model cannot be built or does not accept the inputs, or the models have no features in common.
        TrustError: A model is outside the trusted packages.
    """
    from ...preview import pair_features, stage_features
    from ._inspect_text import pairs_text

    teacher_model, example, teacher_summary = _summary(teacher, inputs, trust)
    student_model, _, student_summary = _summary(student, inputs, trust, example)
    pairs = pair_features(
        stage_features(student_model, student_summary), stage_features(teacher_model, teacher_summary)
    )
    if not pairs:
        refuse("the two models have no maps or sequences to pair", "distill their outputs, as with KDLoss")
    print_json(_records(pairs)) if as_json else print(pairs_text(pairs))


def _records(pairs: Sequence[FeaturePair]) -> list[dict[str, Any]]:
    return [asdict(pair) for pair in pairs]


def _summary(
    call: Sequence[str], inputs: Sequence[str], trust: Sequence[str], known: ExampleInputs | None = None
) -> tuple[nn.Module, ExampleInputs, ModelSummary]:
    """Return a model, inputs that it accepts and what is inside it."""
    from ...preview import example_inputs, summarise
    from .._build_model import build_model, call_of
    from ._input_shapes import read_inputs

    path, arguments = call_of(call[0], call[1:])
    model = build_model(path, arguments, trust)
    example = read_inputs(inputs) if inputs else known or example_inputs(model)
    if example is None:
        refuse(f"the inputs of {call[0]} are not known", "give their shapes: --input 1,3,224,224")
    try:
        return model, example, summarise(model, example)
    except Exception as error:  # noqa: BLE001 - a model may raise anything
        shapes = ", ".join("×".join(map(str, sizes)) for sizes in _shapes(example).values())
        message = f"{call[0]} does not accept an input of {shapes} ({example.source}): {type(error).__name__}: {error}"
        refuse(message, "give the shapes of its inputs: --input 1,3,224,224, --input input_ids=1,128:int64")


def _shapes(example: ExampleInputs) -> dict[str, list[int]]:
    """Return the shapes of inputs by position or name; a list counts with its first tensor."""
    from ...tree import tensors

    inputs = {**{str(position): value for position, value in enumerate(example.args)}, **example.kwargs}
    return {name: list(tensors(value)[0].shape) for name, value in inputs.items()}
