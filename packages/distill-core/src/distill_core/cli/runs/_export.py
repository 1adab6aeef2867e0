"""`distill export`: a model of a run as a file for torch, onnxruntime, transformers or llama.cpp."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ...errors import did_you_mean
from .._command import Command
from .._exit import refuse
from .._options import PATH, json_option, run_dir_argument, trust_option
from .._record_output import lines_aside, print_json
from .._run_files import RESOLVED, RESULTS, newest_version

if TYPE_CHECKING:
    from torch import nn

    from ...experiment import Experiment
    from ...export import Exported, Sidecar
    from ._measure_files import FileCost

CARD = "README.md"


@click.command(cls=Command)
@run_dir_argument
@click.option("--output", metavar="PATH", type=PATH, help="Output file or folder.", show_default="RUN_DIR/student.pt2")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["pt2", "onnx", "safetensors", "transformers", "gguf"]),
    default="pt2",
    help="A program for torch, one for onnxruntime, the weights alone, a folder for transformers, or a file for llama.cpp.",
)
@click.option(
    "--int8",
    is_flag=True,
    help="Also write X.int8.onnx, quantized by ONNX Runtime, and measure size, latency and the test of each file.",
)
@click.option(
    "--measure", is_flag=True, help="Measure size, latency and the test of the model and of a pt2 or onnx file."
)
@click.option(
    "--model", metavar="NAME", default="student", help="Model of the run to export; student_ema is its average."
)
@click.option(
    "--converter",
    metavar="PATH",
    type=PATH,
    help="llama.cpp's convert_hf_to_gguf.py or its folder, for gguf.",
    show_default="$LLAMA_CPP, PATH",
)
@click.option("--license", "license_", metavar="ID", default="", help="License for the model card, such as apache-2.0.")
@click.option("--dataset", "datasets", metavar="ID", multiple=True, help="Dataset on the hub for the model card.")
@trust_option
@json_option
def export(
    run_dir: Path,
    output: Path | None,
    format_: str,
    int8: bool,
    measure: bool,
    model: str,
    converter: Path | None,
    license_: str,
    datasets: tuple[str, ...],
    trust: tuple[str, ...],
    as_json: bool,
) -> None:
    """Export a trained model to ONNX, GGUF or other formats.

    Adapters (LoRA) are merged into the weights. A model card and the preprocessing of the data are written beside it.
    """
    with lines_aside(as_json=as_json):
        export_run(
            run_dir, output=output, format=format_, int8=int8, measure=measure, model=model, converter=converter,
            license=license_, datasets=datasets, trust=trust, as_json=as_json,
        )  # fmt: skip


def export_run(
    run_dir: Path,
    *,
    output: Path | None = None,
    format: str = "pt2",  # noqa: A002  as the option is called
    int8: bool = False,
    measure: bool = False,
    model: str = "student",
    converter: Path | None = None,
    license: str = "",  # noqa: A002  as the option is called
    datasets: Sequence[str] = (),
    trust: Sequence[str] = (),
    as_json: bool = False,
) -> Path:
    """Rebuild a trained model of a run and write it to a file, with its preprocessing and model card beside it.

    Args:
        run_dir: Output folder of the run, with `student.safetensors` in it.
        output: Output file or folder; `<model>.<format>` in the run's folder by default.
        format: One of `distill_core.export.FORMATS`.
        int8: Also write an int8 file, for `onnx`, and measure the files.
        measure: Print a table of size, latency and the test's metrics of the model and of each file, for `pt2` and `onnx`.
        model: Name of the model; `student_ema` is the average of `student` that `ema` keeps.
        converter: llama.cpp's converter or its folder, for `gguf`.
        license: License for the model card.
        datasets: Names of datasets on the hub for the model card.
        trust: Packages whose objects the experiment may name besides the trusted ones.
        as_json: Print a record of the files instead of text.

    Returns:
        The file or folder.

    Raises:
        ConfigError: `run_dir` is not the folder of a run, or the run has no such model.
        DistillError: The model cannot be exported, or the outputs of the file and the model differ.
    """
    from ...export import batch_for, describe_data, find_converter
    from ...export import export as export_model

    _check_options(run_dir, format, int8=int8, measure=measure)
    if format == "gguf":
        converter = find_converter(converter, f"distill export {shlex.quote(str(run_dir))} --format gguf")
    file = _target(output, run_dir, model, format)
    experiment, network = _trained(run_dir, model, trust)
    inputs = {} if format in ("safetensors", "gguf") else batch_for(experiment, network, model)
    sidecar = describe_data(experiment, network)
    tokenizer, names = sidecar.tokenizer, sidecar.class_names
    exported = export_model(network, inputs, file, format, tokenizer=tokenizer, converter=converter, class_names=names)
    written = [] if file.is_dir() else sidecar.write(exported)
    card = _card_path(file, is_own_folder=output is not None and file.parent == output)
    card.write_text(_card(exported, sidecar, model, experiment, run_dir, license, datasets), encoding="utf-8")
    costs: list[FileCost] = []
    if int8 or measure:
        from ._measure_files import measure_export

        costs = measure_export(exported, network, inputs, experiment, model, int8=int8)
    percent = experiment.test.percent(costs[0].metrics) if experiment.test and costs else ()
    show = _print_record if as_json else _print_text
    show(exported, [*written, card], costs, percent)
    return file


def _check_options(run_dir: Path, format: str, *, int8: bool, measure: bool) -> None:  # noqa: A002
    from ...export import FORMATS

    if format not in FORMATS:
        refuse(f"there is no format '{format}'", did_you_mean(format, FORMATS))
    if int8 and format != "onnx":
        refuse("--int8 requires --format onnx", "add --format onnx")
    if measure and format not in ("pt2", "onnx"):
        refuse(f"--measure requires --format pt2 or onnx, got {format}", "omit --measure")
    if not (run_dir / RESOLVED).is_file():
        refuse(f"{run_dir} is not the folder of a run: it has no {RESOLVED}")


def _num_bytes(file: Path) -> int:
    return sum(each.stat().st_size for each in ([file] if file.is_file() else file.iterdir()))


def _print_text(
    exported: Exported, beside: Sequence[Path], costs: Sequence[FileCost], percent: Collection[str]
) -> None:
    from ...export import usage

    file, names = exported.file, ", ".join(path.name for path in beside)
    place = "in" if file.is_dir() else "beside"
    print(f"{file}: {_num_bytes(file):,} bytes; {place} it {names}; {exported.proof}\n")
    print("\n".join(f"    {line}" for line in usage(exported)))
    if costs:
        from ._measure_files import costs_table

        print("\n" + costs_table(costs, percent))


def _print_record(
    exported: Exported, beside: Sequence[Path], costs: Sequence[FileCost], percent: Collection[str]
) -> None:
    from ...export import usage

    record = {**asdict(exported), "file": str(exported.file), "num_bytes": _num_bytes(exported.file)}
    record |= {"beside": [str(path) for path in beside], "usage": usage(exported)}
    record |= {"measured": [asdict(cost) for cost in costs], "percent": list(percent)}
    print_json(record)


def _trained(run_dir: Path, model: str, trust: Sequence[str]) -> tuple[Experiment, nn.Module]:
    """Return the experiment of a run and its trained model."""
    import torch

    from ...train.parallel import read_deferred
    from ...train.step import EMA
    from ...weights import load_weights
    from .._load import build_experiment, load_document
    from .._record import check_recorded

    experiment = build_experiment(load_document(newest_version(run_dir, RESOLVED), (), trust), trust)
    models = dict(experiment.models)
    EMA(models, experiment.ema)  # adds `student_ema`
    if model not in models:
        refuse(f"the run has no model '{model}'", did_you_mean(model, models))
    check_recorded(run_dir / f"{model}.safetensors")
    read_deferred({model: models[model]}, torch.device("cpu"))
    weights = run_dir / f"{model}.safetensors"
    return replace(experiment, models=models), load_weights(models[model], weights).eval()


def _target(output: Path | None, run_dir: Path, model: str, format: str) -> Path:  # noqa: A002  as the option is called
    if format == "transformers":
        return output or run_dir / f"{model}_transformers"
    if output is None and format == "safetensors":
        return run_dir / f"{model}_exported.safetensors"  # beside the weights that the run itself wrote
    if output is None:
        return run_dir / f"{model}.{format}"
    if output.suffix == f".{format}":
        return output
    if output.suffix in (".pt2", ".onnx", ".safetensors", ".gguf", ".pt", ".pth", ".bin"):
        refuse(f"{output} is not a file of the format {format}", f"use the extension .{format}, or name a folder")
    return output / f"{model}.{format}"


def _card_path(file: Path, *, is_own_folder: bool) -> Path:
    if file.is_dir():
        return file / CARD
    return file.with_name(CARD) if is_own_folder else file.with_suffix(".md")


def _card(
    exported: Exported,
    sidecar: Sidecar,
    model: str,
    experiment: Experiment,
    run_dir: Path,
    license: str,  # noqa: A002  as the option is called
    datasets: Sequence[str],
) -> str:
    from ...export import describe_training, model_card
    from ...records import read_record

    results = read_record(run_dir / RESULTS) if (run_dir / RESULTS).is_file() else {}
    training = describe_training(experiment, model, results, run_dir, license=license, datasets=datasets)
    return model_card(exported, sidecar, model, training)
