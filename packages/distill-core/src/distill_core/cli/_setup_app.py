"""The commands around a run: this machine, a first file, the editor, weights from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ._options import Debug, Json, end

Trust = Annotated[
    list[str] | None,
    typer.Option(
        "--trust", metavar="PACKAGE", help="Let --model name objects of this package, too.", show_default=False
    ),
]

setup_app = typer.Typer()


@setup_app.command()
def schema(
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Write it there.")] = None,
    tags: Annotated[
        Path | None,
        typer.Option("--tags", metavar="FILE", help="Print the editor's setting yaml.customTags for this experiment."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Print the JSON Schema of an experiment, for editors."""

    def action() -> None:
        from ._schema import print_schema

        print_schema(output, tags)

    end(action, debug=debug)


@setup_app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Weights: .pt, .pth, .bin or .safetensors.", show_default=False)
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The new file: .safetensors, or .pt from one.", show_default=False)
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="How to build the model: num_classes=10", show_default=False),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", metavar="IMPORT_PATH", help="Prove that names and shapes are those of this model.")
    ] = "",
    key: Annotated[str, typer.Option("--key", metavar="NAME", help="Where in SOURCE the state dict is.")] = "",
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Turn a PyTorch checkpoint into safetensors, or back."""

    def action() -> None:
        from ._convert import convert as convert_file

        convert_file(source, target, model=model, arguments=arguments or (), key=key, trust=trust or ())

    end(action, debug=debug)


@setup_app.command()
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file, a .yaml.", show_default=False)],
    task: Annotated[
        Literal["classification", "finetuning", "language-model", "text"],
        typer.Option("--task", help="What it is to begin with."),
    ] = "classification",
    debug: Debug = False,
) -> None:
    """Write a first experiment that runs in seconds."""

    def action() -> None:
        from ._new import new_experiment

        new_experiment(file, task)

    end(action, debug=debug)


@setup_app.command()
def doctor(as_json: Json = False, debug: Debug = False) -> None:
    """Tell what this machine has, and what would not work; nothing is downloaded."""

    def action() -> None:
        from ._doctor import doctor as examine

        examine(as_json=as_json)

    end(action, debug=debug)
