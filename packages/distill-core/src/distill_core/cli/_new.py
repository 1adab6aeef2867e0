"""`distill new`: a first experiment, small enough to run in seconds, with comments that say what each part is."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from ._exit import refuse

STARTS = Path(__file__).parent / "starts"
FORMS = ("the {} is {}", "this {} was {}")
NOUNS = ("film", "book", "song", "play", "meal", "game", "tea", "walk")
GOOD = ("good", "great", "lovely", "warm", "clever", "fine")
BAD = ("bad", "awful", "dull", "cold", "silly", "poor")
EVERY = 5
"""One review in so many is for the test; it divides none of the numbers above, so all words are in both parts."""


def new_experiment(file: Path, task: str) -> None:
    """Write a first experiment, and the texts that it reads if it needs some; print what to do next.

    Args:
        file: The new file.
        task: The name of a file in `starts`.

    Raises:
        ConfigError: There is a file of that name already, or it is not called as experiments are.
    """
    if file.suffix not in (".yaml", ".yml"):
        refuse(f"{file} is not called as an experiment is", f"write {file.with_suffix('.yaml')}")
    files = {file: (STARTS / f"{task}.yaml").read_text(encoding="utf-8")}
    if task == "text":
        train, test = file.with_suffix(".train.tsv"), file.with_suffix(".test.tsv")
        files[file] = files[file].replace("TRAIN", str(train)).replace("TEST", str(test))
        files |= {train: table(reviews(test=False)), test: table(reviews(test=True))}
    files[file] = re.sub(r"\bFILE\b", str(file).replace("\\", r"\\"), files[file])
    if there := [path for path in files if path.exists()]:
        refuse(f"{there[0]} exists", "choose another name: nothing is overwritten")
    file.parent.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
        print(f"{path} written")
    if missing := [name for name in packages_of(files[file]) if importlib.util.find_spec(name) is None]:
        print(f"\nit needs what is not installed: pip install {' '.join(_distribution(name) for name in missing)}")
    print(f"\n    distill check {file}\n    distill run {file}")


def packages_of(text: str) -> list[str]:
    """The packages that a file's tags name."""
    return sorted(set(re.findall(r"!import_\w+:(\w+)\.", text)))


def _distribution(package: str) -> str:
    return "'distill-zoo[vision]'" if package == "distill_zoo" else package.replace("_", "-")


def reviews(*, test: bool) -> Iterator[tuple[str, str]]:
    """Sentences and whether they are `good` or `bad`; none is in both parts.

    >>> list(reviews(test=True))[:3]
    [('the film is good', 'good'), ('the film is fine', 'good'), ('the film is silly', 'bad')]
    """
    for number, (form, adverb, noun, word) in enumerate(product(FORMS, ("", "really "), NOUNS, GOOD + BAD)):
        if (number % EVERY == 0) == test:
            yield form.format(noun, adverb + word), "good" if word in GOOD else "bad"


def table(rows: Iterator[tuple[str, str]]) -> str:
    """A table with a header, as `distill_nlp.data.read_table` reads it."""
    return "\n".join(["sentence\tlabel", *("\t".join(row) for row in rows)]) + "\n"
