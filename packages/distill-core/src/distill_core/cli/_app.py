"""The commands, their arguments and their help; what they do is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ._options import Change, Debug, Json, Resume, Trust, end
from ._runs_app import runs_app
from ._setup_app import setup_app
from ._zoo import zoo_app

app = typer.Typer(
    help="Distil models, or train them in any way that one YAML file can describe.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The experiment, a YAML file.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes of the file: stages.0.epochs=2", show_default=False),
]


@app.command()
def run(
    file: File,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="The folder of the run [runs/…/<time>].")
    ] = None,
    resume: Resume = False,
    change: Change = False,
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Train and test what FILE describes."""

    def action() -> None:
        from ._run import run_experiment

        run_experiment(file, overrides or (), output=output, resume=resume, change=change, trust=trust or ())

    end(action, debug=debug)


@app.command()
def check(
    file: File,
    overrides: Overrides = None,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also build the models, without memory or data, run them, and print the plan."),
    ] = False,
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Find every problem of FILE without running anything it names."""

    def action() -> None:
        from ._check import check_file

        check_file(file, overrides or (), deep=deep, trust=trust or ())

    end(action, debug=debug)


@app.command()
def evaluate(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder of a run.", show_default=False)],
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", metavar="best|last", help="Which weights of the student to measure.")
    ] = "best",
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Measure a trained student again, on the data that its experiment names."""

    def action() -> None:
        from ._evaluate import evaluate_run

        evaluate_run(run_dir, checkpoint=checkpoint, trust=trust or ())

    end(action, debug=debug)


@app.command()
def export(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="The folder of a run.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="PATH", help="A file, or a folder for it [RUN_DIR/student.pt2].", show_default=False
        ),
    ] = None,
    format_: Annotated[
        Literal["pt2", "onnx", "safetensors"],
        typer.Option("--format", help="A program for torch, one for onnxruntime, or the weights alone."),
    ] = "pt2",
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="Which trained model.")] = "student",
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Write the student of a run as a file that torch or onnxruntime alone can run, with its model card."""

    def action() -> None:
        from ._export import export_run

        export_run(run_dir, output=output, format=format_, model=model, trust=trust or ())

    end(action, debug=debug)


@app.command()
def show(file: File, overrides: Overrides = None, debug: Debug = False) -> None:
    """Print FILE with everything included and every change made."""

    def action() -> None:
        from ..config import read

        print(read(file, tuple(overrides or ())).dump(), end="")

    end(action, debug=debug)


@app.command(name="list")
def list_(
    what: Annotated[
        Literal["losses", "models", "data", "metrics"], typer.Argument(help="What to list.", show_default=False)
    ],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Print what there is: losses, models, data or metrics."""

    def action() -> None:
        from ._list import print_list

        print_list(what, as_json=as_json)

    end(action, debug=debug)


@app.command()
def launch(
    file: File,
    overrides: Overrides = None,
    gpus: Annotated[
        int | None, typer.Option("--gpus", metavar="N", help="Start N processes, each on a GPU of its own.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", metavar="N", help="Start N processes on the CPU.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="The folder of the run [runs/…/<time>].")
    ] = None,
    resume: Resume = False,
    change: Change = False,
    trust: Trust = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the command.")] = False,
    debug: Debug = False,
) -> None:
    """Run FILE on several processes of this machine."""

    def action() -> None:
        from ._launch import launch as start

        start(
            file,
            overrides or (),
            gpus=gpus,
            processes=processes,
            output=output,
            resume=resume,
            change=change,
            trust=trust or (),
            dry_run=dry_run,
        )

    end(action, debug=debug)


@app.command()
def sweep(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A sweep, or an experiment; a YAML file.", show_default=False)
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=A,B,C]...", help="What to try: stages.0.optimizer.lr=0.1,0.2", show_default=False),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="DIR", help="The folder of the runs [runs/sweeps/<file>].")
    ] = None,
    metric: Annotated[
        str,
        typer.Option("--metric", metavar="NAME", help="Which metric decides [the one that chooses the checkpoint]."),
    ] = "",
    change: Change = False,
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Run an experiment once for every combination of values; the same command goes on where it was interrupted."""

    def action() -> None:
        from ._sweep import run_sweep

        run_sweep(file, values or (), output=output, metric=metric, change=change, trust=trust or ())

    end(action, debug=debug)


@app.command()
def slurm(
    file: File,
    overrides: Overrides = None,
    nodes: Annotated[int, typer.Option("--nodes", metavar="N", help="Machines.")] = 1,
    gpus: Annotated[int, typer.Option("--gpus", metavar="N", help="GPUs, and so processes, on each.")] = 1,
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="The folder of the run, seen by all machines.")
    ] = ...,  # type: ignore[assignment]
    time: Annotated[str, typer.Option("--time", metavar="HH:MM:SS", help="The time limit.")] = "24:00:00",
    partition: Annotated[str, typer.Option("--partition", metavar="NAME", help="Slurm's partition.")] = "",
    change: Change = False,
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Print a Slurm batch script for FILE: `distill slurm FILE … > job.sbatch`."""

    def action() -> None:
        from ._launch import slurm_script

        script = slurm_script(
            file,
            overrides or (),
            nodes=nodes,
            gpus=gpus,
            output=output,
            time=time,
            partition=partition,
            change=change,
            trust=trust or (),
        )
        print(script, end="")

    end(action, debug=debug)


cache_app = typer.Typer(help="Caches of teachers: build, verify, plan.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(cache_app, name="cache")
app.add_typer(zoo_app, name="zoo")
app.add_typer(runs_app)
app.add_typer(setup_app)


@cache_app.command(name="build")
def cache_build(file: File, overrides: Overrides = None, trust: Trust = None, debug: Debug = False) -> None:
    """Compute and store what FILE's `cache` asks for, ahead of the run."""

    def action() -> None:
        from ._cache import build_cache

        build_cache(file, overrides or (), trust or ())

    end(action, debug=debug)


@cache_app.command(name="verify")
def cache_verify(
    file: File,
    overrides: Overrides = None,
    samples: Annotated[int, typer.Option("--samples", metavar="N", help="How many samples of each view.")] = 256,
    trust: Trust = None,
    debug: Debug = False,
) -> None:
    """Compare the caches of FILE with their checksums, and samples of them with the live model."""

    def action() -> None:
        from ._cache import verify_cache

        verify_cache(file, overrides or (), trust or (), samples)

    end(action, debug=debug)


@cache_app.command(name="plan")
def cache_plan(file: File, overrides: Overrides = None, trust: Trust = None, debug: Debug = False) -> None:
    """Tell what caches for FILE would cost with each codec, and after which epoch they pay."""

    def action() -> None:
        from ._cache import plan_cache

        plan_cache(file, overrides or (), trust or ())

    end(action, debug=debug)
