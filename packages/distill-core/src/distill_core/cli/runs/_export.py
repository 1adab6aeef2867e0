"""`distill export`: a model of a run as a file for torch, onnxruntime or safetensors alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...errors import did_you_mean
from .._command import Command
from .._exit import refuse
from .._options import PATH, run_dir_argument, trust_option
from .._run_files import RESOLVED, RESULTS, SOURCE, newest_config

if TYPE_CHECKING:
    from ...experiment import Experiment

CARD = "README.md"


@click.command(cls=Command)
@run_dir_argument
@click.option("--output", metavar="PATH", type=PATH, help="Output file or folder.", show_default="RUN_DIR/student.pt2")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["pt2", "onnx", "safetensors"]),
    default="pt2",
    help="A program for torch, one for onnxruntime, or the weights alone.",
)
@click.option("--model", metavar="NAME", default="student", help="Model of the run to export.")
@trust_option
def export(run_dir: Path, output: Path | None, format_: str, model: str, trust: tuple[str, ...]) -> None:
    """Export a trained model to ONNX, pt2 or safetensors.

    A model card and the preprocessing of the data are written beside it.
    """
    export_run(run_dir, output=output, format=format_, model=model, trust=trust)


def export_run(
    run_dir: Path,
    *,
    output: Path | None = None,
    format: str = "pt2",  # noqa: A002  as the option is called
    model: str = "student",
    trust: Sequence[str] = (),
) -> Path:
    """Rebuild a trained model of a run and write it to a file, with its preprocessing and model card beside it.

    Args:
        run_dir: Output folder of the run, with `student.safetensors` in it.
        output: Output file or folder; `<model>.<format>` in the run's folder by default.
        format: `pt2`, `onnx` or `safetensors`.
        model: Name of the model.
        trust: Packages whose objects the experiment may name besides the trusted ones.

    Returns:
        The file.

    Raises:
        ConfigError: `run_dir` is not the folder of a run, or the run has no such model.
        DistillError: The model cannot be exported, or the outputs of the file and the model differ.
    """
    from ...export import FORMATS, batch_for, describe_data, usage
    from ...export import export as export_model
    from ...weights import load_weights
    from .._load import build_experiment, load_document
    from .._record import check_recorded

    if format not in FORMATS:
        refuse(f"there is no format '{format}'", did_you_mean(format, FORMATS))
    if not (run_dir / RESOLVED).is_file():
        refuse(f"{run_dir} is not the folder of a run: it has no {RESOLVED}")
    experiment = build_experiment(load_document(newest_config(run_dir, RESOLVED), (), trust), trust)
    if model not in experiment.models:
        refuse(f"the run has no model '{model}'", did_you_mean(model, experiment.models))
    check_recorded(run_dir / f"{model}.safetensors")
    network = load_weights(experiment.models[model], run_dir / f"{model}.safetensors").eval()
    file = _target(output or run_dir / f"{model}.{format}", model, format)
    inputs = {} if format == "safetensors" else batch_for(experiment, network, model)
    exported = export_model(network, inputs, file, format)
    sidecar = describe_data(experiment, network)
    written = [path.name for path in sidecar.write(exported)]
    is_own_folder = output is not None and file.parent == output
    card = file.with_name(CARD) if is_own_folder else file.with_suffix(".md")
    card.write_text(_card(exported, sidecar, model, experiment, run_dir), encoding="utf-8")
    beside = ", ".join([*written, card.name])
    print(f"{file}: {file.stat().st_size:,} bytes; beside it {beside}; {exported.proof}\n")
    print("\n".join(f"    {line}" for line in usage(exported)))
    return file


def _target(output: Path, model: str, format: str) -> Path:  # noqa: A002  as the option is called
    if output.suffix == f".{format}":
        return output
    if output.suffix in (".pt2", ".onnx", ".safetensors", ".pt", ".pth", ".bin"):
        refuse(f"{output} is not a file of the format {format}", f"use the extension .{format}, or name a folder")
    return output / f"{model}.{format}"


def _card(exported: Any, sidecar: Any, model: str, experiment: Experiment, run_dir: Path) -> str:
    from ...export import model_card
    from ...records import read_record
    from ..run._progress import describe_model

    stages: Any = experiment.stages
    losses = [name for stage in stages if isinstance(stage.losses, Mapping) for name in stage.losses]
    recipe = next(path for path in (run_dir / SOURCE, run_dir / RESOLVED) if path.is_file())
    results = run_dir / RESULTS
    run = {
        "results": read_record(results) if results.is_file() else {"about": experiment.about},
        "models": {name: describe_model(each) for name, each in experiment.models.items()},
        "losses": list(dict.fromkeys(losses)),
        "recipe": recipe.read_text(encoding="utf-8"),
    }
    return model_card(exported, sidecar, model, run)
