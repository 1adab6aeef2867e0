"""`distill zoo …`: pretrained weights, for people and for programs. All of it is done by distill_zoo, which may be missing."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import DistillError
from ._options import Debug, Json, end

zoo_app = typer.Typer(
    help="Pretrained weights: list, load, check and publish them.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="cifar10/resnet20", show_default=False)]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="cifar10/resnet20", show_default=False)]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing.")]


def _end(action: Callable[[Any], object], *, debug: bool, offline: bool = False) -> None:
    """Call `action` with the package, and turn its errors into exit codes."""

    def told() -> None:
        if offline:
            os.environ["DISTILL_OFFLINE"] = "1"
        try:
            zoo: Any = importlib.import_module("distill_zoo")
        except ModuleNotFoundError as error:
            if error.name != "distill_zoo":
                raise
            message = "distill zoo needs distill_zoo, which is not installed: pip install 'distill-zoo[torch]'"
            raise DistillError(message) from error
        try:
            action(zoo)
        except zoo.ZooError as error:
            raise DistillError(str(error)) from error

    end(told, debug=debug)


@zoo_app.command(name="list")
def list_(
    pattern: Annotated[str, typer.Argument(metavar="[GLOB]", help="Which: 'cifar10/*'")] = "*",
    cached: Annotated[bool, typer.Option("--cached", help="Only those that are on this machine.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the names of all weights, with what they reach."""

    def action(zoo: Any) -> None:
        cards = [zoo.card(name) for name in zoo.list_models(pattern) if not cached or zoo.cached(name)]
        if as_json:
            print(_json([_summary(card) for card in cards]))
        else:
            _print_table([[card.name, _metric(card), card.license, _trust(card)] for card in cards])

    _end(action, debug=debug)


@zoo_app.command()
def info(name: Name, as_json: Json = False, debug: Debug = False) -> None:
    """Print the card of some weights."""

    def action(zoo: Any) -> None:
        card = zoo.card(name)
        found = zoo.cached(name)
        values = {**dataclasses.asdict(card), "path": str(found) if found else None}
        print(_json(values) if as_json else "\n".join(_lines(values)))

    _end(action, debug=debug)


@zoo_app.command()
def download(names: Names, as_json: Json = False, offline: Offline = False, debug: Debug = False) -> None:
    """Fetch weights, check them, and print where they are."""
    _end(lambda zoo: _print_paths({name: zoo.download(name) for name in names}, as_json), debug=debug, offline=offline)


@zoo_app.command()
def path(names: Names, as_json: Json = False, debug: Debug = False) -> None:
    """Print where weights are on this machine; nothing is fetched."""

    def action(zoo: Any) -> None:
        found = {name: zoo.cached(name) for name in names}
        _print_paths({name: path for name, path in found.items() if path}, as_json)
        if missing := [name for name, path in found.items() if not path]:
            message = f"not on this machine: {', '.join(missing)}\n  hint: distill zoo download {' '.join(missing)}"
            raise DistillError(message)

    _end(action, debug=debug)


@zoo_app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="All that are here.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check the weights on this machine against their hashes."""

    def action(zoo: Any) -> None:
        said: dict[str, str] = {}
        for name in names or [name for name in zoo.list_models() if zoo.cached(name)]:
            try:
                said[name] = "right" if zoo.verify(name) else "not on this machine"
            except zoo.ZooError as error:
                said[name] = str(error)
        if as_json:
            print(_json(said))
        else:
            _print_table([[name, verdict] for name, verdict in said.items()])
        wrong = [name for name, verdict in said.items() if verdict != "right"]
        if wrong:
            message = f"not right: {', '.join(wrong)}"
            raise DistillError(message)

    _end(action, debug=debug)


@zoo_app.command()
def remove(names: Names, as_json: Json = False, debug: Debug = False) -> None:
    """Delete what was fetched."""

    def action(zoo: Any) -> None:
        removed = {name: zoo.remove(name) for name in names}
        if as_json:
            print(_json(removed))
        else:
            _print_table([[name, "removed" if was else "was not on this machine"] for name, was in removed.items()])

    _end(action, debug=debug)


@zoo_app.command()
def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.", show_default=False)],
    as_json: Json = False,
    offline: Offline = False,
    debug: Debug = False,
) -> None:
    """Write weights as safetensors with config.json and a README, as the Hugging Face Hub shows them."""

    def action(zoo: Any) -> None:
        _print_paths({name: zoo.save_pretrained(name, folder)}, as_json)

    _end(action, debug=debug, offline=offline)


@zoo_app.command()
def add(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder of a run.", show_default=False)],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="my_data/my_model")],
    model: Annotated[str, typer.Option("--model", help="Which of the run's models.")] = "student",
    license_: Annotated[str, typer.Option("--license", help="The terms, as an SPDX identifier.")] = "",
    teacher: Annotated[str, typer.Option("--teacher", help="What it learnt from, as named in the zoo.")] = "",
    paper: Annotated[str, typer.Option("--paper", help="Where the method is described.")] = "",
    recipe: Annotated[str, typer.Option("--recipe", help="Where its YAML file is published.")] = "",
    tolerance: Annotated[float | None, typer.Option("--tolerance", help="How far a repetition may be off.")] = None,
    into: Annotated[
        Path | None, typer.Option("--into", metavar="DIR", help="A folder of cards [DISTILL_HOME].")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a card of a finished run: weights, numbers, recipe and log."""

    def action(zoo: Any) -> None:
        card = zoo.add_run(
            run_dir,
            name,
            model=model,
            license=license_,
            teacher=teacher,
            paper=paper,
            recipe=recipe,
            tolerance=tolerance,
            into=into,
        )
        print(_json(dataclasses.asdict(card)) if as_json else f"{card.name}  {_metric(card)}")

    _end(action, debug=debug)


def _summary(card: Any) -> dict[str, Any]:
    values = dataclasses.asdict(card)
    return {key: values[key] for key in ("name", "dataset", "metrics", "license", "teacher", "owner")} | {
        "verified": card.verified,
        "embedded": card.embedded,
    }


def _trust(card: Any) -> str:
    return "included" if card.embedded else "verified" if card.verified else "unverified"


def _metric(card: Any) -> str:
    if not card.metrics:
        return "–"
    shown = next((each for each in card.metrics if each.split == "test"), card.metrics[0])
    return f"{shown.name} {shown.value:g} ({shown.split})"


def _lines(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """A value a line; what is empty is left out."""
    lines: list[str] = []
    for key, value in values.items():
        if value in ("", None, (), {}, []):
            continue
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        elif isinstance(value, list | tuple) and isinstance(value[0], Mapping):
            lines += [f"{indent}{key}:"]
            lines += [
                f"{indent}  " + "  ".join(f"{name} {_text(each[name])}" for name in each if each[name])
                for each in value
            ]
        else:
            lines.append(f"{indent}{key}: {_text(value)}")
    return lines


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print_paths(paths: Mapping[str, Path], as_json: bool) -> None:
    if as_json:
        print(_json({name: str(path) for name, path in paths.items()}))
    elif paths:
        print("\n".join(map(str, paths.values())))


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
