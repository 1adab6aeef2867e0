"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)

file_argument = click.argument("file", metavar="FILE", type=PATH, help="The experiment, a YAML file.")
overrides_argument = click.argument(
    "overrides",
    metavar="[KEY=VALUE]...",
    nargs=-1,
    help="Override values of the file: stages.0.epochs=2. `+KEY=VALUE` adds a key, `~KEY` removes one.",
)
run_dir_argument = click.argument("run_dir", metavar="RUN_DIR", type=PATH, help="The output folder of a run.")
checkpoint_option = click.option(
    "--checkpoint", metavar="best|last", default="best", help="Checkpoint of the student to load."
)
trust_option = click.option(
    "--trust",
    metavar="PACKAGE",
    multiple=True,
    help="Also allow the file to name objects of this package or module beside it; `.` allows all modules beside it.",
)
resume_option = click.option("--resume", is_flag=True, help="Resume the run in --output, or start it if there is none.")
change_option = click.option(
    "--change",
    is_flag=True,
    help="Accept changes of FILE that do not affect what was trained so far, when a run is resumed.",
)
run_output_option = click.option(
    "--output", metavar="DIR", type=PATH, help="Output folder of the run.", show_default="runs/…/<time>"
)
max_restarts_option = click.option(
    "--max-restarts",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Number of times to start all processes again if one fails; the run then resumes.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
