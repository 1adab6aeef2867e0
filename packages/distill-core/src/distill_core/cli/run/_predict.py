"""`distill predict`: predictions of a trained model for a user's own inputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._command import Command
from .._exit import refuse
from .._options import PATH, checkpoint_option, json_option, run_dir_argument, trust_option
from .._record_output import lines_aside

if TYPE_CHECKING:
    from ...data import AcceptsInputs, Loader, PredictionOptions
    from ...train import Trainer

MAX_ERRORS = 5
"""Number of inputs that cannot be read that are named."""
LINES = "predictions.jsonl"
"""The file of records beside predictions that are images."""


@click.command("predict", cls=Command)
@run_dir_argument
@click.argument(
    "inputs",
    metavar="[INPUT]...",
    type=PATH,
    nargs=-1,
    help="Images and folders of images, or texts: lines of a .txt, rows of a .jsonl, .csv or other table.",
)
@click.option("--text", "texts", metavar="TEXT", multiple=True, help="A text, or the prompt of a language model.")
@click.option("--model", metavar="NAME", default="student", help="Model of the run that predicts.")
@checkpoint_option
@click.option("--top", metavar="N", type=click.IntRange(min=1), default=5, help="Number of classes to list.")
@click.option(
    "--threshold",
    metavar="P",
    type=click.FloatRange(0, 1),
    default=0.5,
    help="Least score of a box, and least probability of each of several labels.",
)
@click.option(
    "--max-new-tokens",
    metavar="N",
    type=click.IntRange(min=1),
    default=64,
    help="Number of tokens to generate at most.",
)
@click.option("--output", metavar="PATH", type=PATH, help="Output file, a .jsonl, or the folder of predicted masks.")
@json_option
@trust_option
def predict_command(
    run_dir: Path,
    inputs: tuple[Path, ...],
    texts: tuple[str, ...],
    model: str,
    checkpoint: str,
    top: int,
    threshold: float,
    max_new_tokens: int,
    output: Path | None,
    as_json: bool,
    trust: tuple[str, ...],
) -> None:
    """Print predictions for your own images or texts.

    The preprocessing is that of the test data of the run, or of its validation data. --json prints a line for each input,
    and --output writes these lines to a file instead. Inputs that cannot be read are named at the end.
    """
    with lines_aside(as_json=as_json):
        records = predict_run(
            run_dir, inputs, texts, model=model, checkpoint=checkpoint, top=top, threshold=threshold,
            max_new_tokens=max_new_tokens, output=output, trust=trust,
        )  # fmt: skip
    predicted = [record for record in records if "error" not in record]
    if output is not None:
        print(f"{len(predicted)} predictions in {output}", file=sys.stderr if as_json else sys.stdout)
    elif as_json:
        print("\n".join(map(_line, records)))
    elif predicted:
        from ._predict_text import predictions_text

        print(predictions_text(predicted))
    _refuse_unreadable(records)


def _refuse_unreadable(records: Sequence[dict[str, Any]]) -> None:
    from ...errors import DataError

    errors = [record["error"] for record in records if "error" in record]
    if errors:
        listed = [*errors[:MAX_ERRORS], *(["…"] if len(errors) > MAX_ERRORS else [])]
        message = "\n  ".join([f"{len(errors)} of {len(records)} inputs cannot be read:", *listed])
        raise DataError(message)


def predict_run(
    run_dir: Path,
    inputs: Sequence[Path] = (),
    texts: Sequence[str] = (),
    *,
    model: str = "student",
    checkpoint: str = "best",
    top: int = 5,
    threshold: float = 0.5,
    max_new_tokens: int = 64,
    output: Path | None = None,
    trust: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Return the predictions of a trained model of a run for your own inputs, in their order.

    Args:
        run_dir: Output folder of the run.
        inputs: Images and folders of images, or files of texts.
        texts: Texts, or prompts of a language model.
        model: Name of the model.
        checkpoint: `best` is the selected epoch, or the last one if none was selected; `last` is the last checkpoint.
        top: Number of most probable classes to list.
        threshold: Least score of a box, and least probability of a label of an input that may have several.
        max_new_tokens: Maximum number of tokens that a language model generates.
        output: Write the records to this file, a `.jsonl`. Predicted masks are written to this folder.
        trust: Packages whose objects the experiment may name besides the trusted ones.

    Returns:
        A record for each input; see `distill_core.predict.predict`. One that cannot be read has a record with `error`.

    Raises:
        ConfigError: `run_dir` is not the folder of a run, the run has no such model, or its data cannot prepare inputs.
        DataError: An input is missing or of another kind than the data of the run.
    """
    from ...data import PredictionOptions
    from ...predict import predict
    from ._trained import evaluations_of, feed_of, rebuilt

    if not inputs and not texts:
        refuse("there is nothing to predict", "name images or files of texts, or give --text")
    trainer = rebuilt(run_dir, checkpoint=checkpoint, trust=trust)
    _check_model(trainer, model)
    loader, dataset = _preparation(trainer, run_dir)
    given = dataset.given_inputs([Path(path).expanduser() for path in inputs], list(texts))
    options = PredictionOptions(
        top=top, threshold=threshold, max_new_tokens=max_new_tokens, folder=output if given.writes_images else None
    )
    _check_output(output, writes_images=given.writes_images)
    evaluations = evaluations_of(trainer)
    ordered = [evaluations[split] for split in sorted(evaluations, key=lambda split: split != "test")]
    with trainer.autocast():
        records = predict(
            trainer.models, given, loader, model=model, evaluations=ordered, feed=feed_of(trainer), options=options,
            device=trainer.device,
        )  # fmt: skip
    _write(records, output, options)
    return records


def _check_model(trainer: Trainer, model: str) -> None:
    from ...errors import did_you_mean

    if model not in trainer.models:
        refuse(f"the run has no model '{model}'", did_you_mean(model, trainer.models))


def _preparation(trainer: Trainer, run_dir: Path) -> tuple[Loader, AcceptsInputs]:
    """Return the loader whose preprocessing is that of predictions, and its dataset: of the test, or of an evaluation."""
    from ...data import as_loader, dataset_for_inputs
    from ._trained import evaluations_of

    evaluations = evaluations_of(trainer)
    if not evaluations:
        refuse(f"{run_dir} has neither a test nor an evaluation, so its preprocessing for predictions is not known")
    loader = as_loader(evaluations["test" if "test" in evaluations else next(iter(evaluations))].loader)
    dataset = dataset_for_inputs(loader)
    if dataset is None:
        kind = type(getattr(loader, "dataset", loader)).__name__
        hint = "its dataset needs a method given_inputs, see distill_core.data.AcceptsInputs"
        refuse(f"{run_dir} cannot predict: {kind} does not prepare other inputs than its own samples", hint)
    return loader, dataset


def _check_output(output: Path | None, *, writes_images: bool) -> None:
    if writes_images and (output is None or output.suffix == ".jsonl"):
        refuse("the predictions are masks, which are written to files", "name a folder: --output masks")
    if not writes_images and output is not None and output.suffix != ".jsonl":
        refuse(f"{output} must have the extension .jsonl", f"write {output.with_suffix('.jsonl')}")


def _write(records: Sequence[dict[str, Any]], output: Path | None, options: PredictionOptions) -> None:
    """Write a line for each record; the file is in the folder of predictions that are images."""
    file = output if options.folder is None else options.folder / LINES
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(f"{_line(record)}\n" for record in records), encoding="utf-8")


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False)
