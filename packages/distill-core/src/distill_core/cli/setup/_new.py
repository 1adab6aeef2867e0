"""`distill new`: a first experiment with comments, small enough to run in seconds."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import click

from .._command import Command
from .._exit import refuse
from .._options import PATH, json_option, trust_option
from ._own_module import module_name, own_files

STARTS = Path(__file__).parent / "starts"
FORMS = ("the {} is {}", "this {} was {}")
NOUNS = ("film", "book", "song", "play", "meal", "game", "tea", "walk")
GOOD = ("good", "great", "lovely", "warm", "clever", "fine")
BAD = ("bad", "awful", "dull", "cold", "silly", "poor")
EVERY = 5
"""Every fifth review is for the test split. Five divides none of the numbers above, so both splits have all words."""


@click.command(cls=Command)
@click.argument("file", metavar="FILE", type=PATH, help="Output file, a .yaml.")
@click.option(
    "--task",
    type=click.Choice(["classification", "finetuning", "language-model", "own", "text"]),
    help="Task of the experiment.",
    show_default="classification",
)
@click.option(
    "--teacher",
    metavar="MODEL",
    help="Your teacher, named as for distill inspect: 'resnet50 pretrained=true', or a folder of transformers.",
)
@click.option(
    "--data",
    metavar="PATH",
    type=PATH,
    help="Your data: a folder of images by class or with a table of labels, of tables of texts or of COCO's files, or a file of "
    "conversations.",
)
@click.option(
    "--student", metavar="MODEL", help="Your student.", show_default="a candidate of half of the teacher's FLOPs"
)
@json_option
@trust_option
def new(
    file: Path,
    task: str | None,
    teacher: str | None,
    data: Path | None,
    student: str | None,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """Create a first experiment, also for your own data.

    By default it runs in seconds. With --teacher and --data, both are inspected: candidate students are listed with their parameters, FLOPs and latency
    on this machine, and the experiment distills the teacher into one of them.

    --json prints the files, the next commands and, with --teacher, the data and the students.
    """
    if teacher is None and data is None and student is not None:
        refuse("--student requires --teacher and --data", "add both")
    if (teacher is None) != (data is None) or (teacher is not None and task is not None):
        refuse("--teacher and --data belong together, without --task", "give both and omit --task")
    _check_name(file)
    from .._record_output import record_output

    with record_output(as_json=as_json) as record:
        if teacher is None or data is None:
            record |= new_experiment(file, task or "classification")
        else:
            from .from_teacher import write_experiment

            record |= write_experiment(file, teacher, data, student, trust)


def new_experiment(file: Path, task: str) -> dict[str, Any]:
    """Write a first experiment, and the texts or the module that it names; print the next commands and return them.

    Args:
        file: The output file.
        task: The name of a file in `starts`.

    Raises:
        ConfigError: The file exists, or its extension is not that of a YAML file.
    """
    _check_name(file)
    files = {file: (STARTS / f"{task}.yaml").read_text(encoding="utf-8")}
    if task == "text":
        train, test = file.with_suffix(".train.tsv"), file.with_suffix(".test.tsv")
        files[file] = files[file].replace("TRAIN", _quoted(train)).replace("TEST", _quoted(test))
        files |= {train: table(reviews(test=False)), test: table(reviews(test=True))}
    if task == "own":
        files |= own_files(file)
        module = module_name(file)
        for word, text in (
            ("OWNPATH", f"{module}.py"),
            ("OWNTEST", shlex.quote(str(file.with_name(f"test_{module}.py")))),
        ):
            files[file] = files[file].replace(word, text)
        files[file] = re.sub(r"\bOWN\b", module, files[file])
    files[file] = re.sub(r"\bFILE\b", lambda _: shlex.quote(str(file)), files[file])
    if existing := [path for path in files if path.exists()]:
        refuse(f"{existing[0]} exists", "choose another name: no file is overwritten")
    file.parent.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        print(f"{path} written")
    needed = [name for name in packages_of(files[file]) if task != "own" or name != module_name(file)]
    missing = [_distribution(name) for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        print(f"\nthe experiment needs packages that are not installed: pip install {' '.join(missing)}")
    words = shlex.quote(str(file)) + (f" --trust {module_name(file)}" if task == "own" else "")
    commands = [f"distill check {words}", f"distill run {words}"]
    print("", *commands, sep="\n    ")
    return {"files": [str(path) for path in files], "missing_packages": missing, "commands": commands}


def _check_name(file: Path) -> None:
    if file.suffix not in (".yaml", ".yml"):
        refuse(f"{file} must have the extension .yaml or .yml", f"write {file.with_suffix('.yaml')}")


def _quoted(path: Path) -> str:
    """Return a path as a single-quoted YAML string."""
    return "'" + str(path).replace("'", "''") + "'"


def packages_of(text: str) -> list[str]:
    """Return the packages that the tags of a file name."""
    return sorted(set(re.findall(r"!import_\w+:(\w+)\.", text)))


def _distribution(package: str) -> str:
    return "'distill-zoo[vision]'" if package == "distill_zoo" else package.replace("_", "-")


def reviews(*, test: bool) -> Iterator[tuple[str, str]]:
    """Yield sentences with the label `good` or `bad`; no sentence is in both splits.

    >>> list(reviews(test=True))[:3]
    [('the film is good', 'good'), ('the film is fine', 'good'), ('the film is silly', 'bad')]
    """
    for index, (form, adverb, noun, word) in enumerate(product(FORMS, ("", "really "), NOUNS, GOOD + BAD)):
        if (index % EVERY == 0) == test:
            yield form.format(noun, adverb + word), "good" if word in GOOD else "bad"


def table(rows: Iterator[tuple[str, str]]) -> str:
    """Return a TSV table with a header, in the format of `distill_nlp.data.read_table`."""
    return "\n".join(["sentence\tlabel", *("\t".join(row) for row in rows)]) + "\n"
