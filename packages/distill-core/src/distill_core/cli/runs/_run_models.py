"""The models of finished runs, rebuilt and compared on the data of the run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ...data import Loader, SeedPath, Stream, as_loader, class_names_of_data, class_names_of_model
from ...experiment import Evaluation, Inputs, Metric
from ...feature import Feature
from ...preview import ExampleInputs, StageFeature, stage_features, summarise
from ...report.comparison import ModelComparison, ModelCost, OutputCollector, compare_models, measure_costs, to_png
from ...taps import BATCH, Tap
from ...tree import to_device
from .._exit import refuse
from ..run._trained import evaluations_of, rebuilt

if TYPE_CHECKING:
    from ...train import Trainer

FIELDS = ("input", "input_ids", "image")
"""Fields of a batch that can be shown."""

Call = tuple[tuple[Any, ...], Mapping[str, Any]]


@dataclass(frozen=True)
class Pair:
    """A student and its teacher in a run.

    Attributes:
        student: Name of the student.
        teacher: Name of the teacher.
        outputs: The taps of `student`, `teacher` and `target`.
        split: Name of the data.
        evaluation: The evaluation of that split.
    """

    student: str
    teacher: str
    outputs: Inputs
    split: str
    evaluation: Evaluation


@dataclass(frozen=True)
class RunModels:
    """What was found of the models of a run.

    Attributes:
        split: Name of the data.
        comparison: The student against its teacher.
        costs: The cost of each model on one sample.
        device: Where they ran.
    """

    split: str
    comparison: ModelComparison
    costs: Mapping[str, ModelCost]
    device: str


def study_models(run_dir: Path, *, trust: Sequence[str] = ()) -> RunModels | None:
    """Rebuild the models of a run and compare them on its evaluation data; None for a run without a teacher.

    Args:
        run_dir: Output folder of the run.
        trust: Packages whose objects the file may name besides the trusted ones.

    Raises:
        ConfigError: The run has no weights, or no metric reads the student's output and the target.
        DataError: The outputs of the models are not logits of the same classes.
    """
    trainer = rebuilt(run_dir, trust=trust)
    pair = _pair(trainer, run_dir)
    if pair is None:
        return None
    loader = as_loader(pair.evaluation.loader)
    collector = OutputCollector()
    one = _first_sample(loader, run_dir)
    calls = _calls(trainer, pair, one)
    student = _stages(trainer.models[pair.student], calls[pair.student])
    teacher = _stages(trainer.models[pair.teacher], calls[pair.teacher])
    inputs: dict[str, Any] = {**pair.outputs, **_feature_inputs(pair.student, "student_features", student)}
    inputs |= _feature_inputs(pair.teacher, "teacher_features", teacher)
    if field := _example_field(one):
        inputs["example"] = f"{BATCH}.{field}"
    metrics = {"outputs": Metric(metric=collector, inputs=inputs)}
    trainer.evaluate(Evaluation(loader=loader, metrics=metrics), stage=trainer.stages[-1])
    models = {name: trainer.models[name] for name in (pair.teacher, pair.student)}
    comparison = compare_models(
        collector,
        classes=class_names_of_data(loader) or class_names_of_model(models[pair.student]),
        student_stages=[feature.tap for feature in student],
        teacher_stages=[feature.tap for feature in teacher],
        show=_shower(loader),
    )
    return RunModels(pair.split, comparison, measure_costs(models, calls), str(trainer.device))


def _pair(trainer: Trainer, run_dir: Path) -> Pair | None:  # noqa: RET503 - `refuse` raises
    """Return the trained student and its teacher; None if it is not clear which models they are."""
    names = [name for name in trainer.models if not name.endswith("_ema")]
    trained = [name for name in names if (run_dir / f"{name}.safetensors").is_file()]
    student = _named("student", trained)
    teacher = _named("teacher", [name for name in names if name != student])
    if student is None or teacher is None:
        return None
    evaluations = evaluations_of(trainer)
    for split in sorted(evaluations, key=lambda name: name != "test"):
        for entry in evaluations[split].metrics.values():
            if outputs := _outputs(trainer, entry.inputs, student, teacher):
                return Pair(student, teacher, outputs, split, evaluations[split])
    refuse(
        f"{run_dir}: no metric reads '{student}' and a field of the batch, so its models cannot be compared",
        "add a metric with such inputs, or omit --compare-models",
    )


def _named(role: str, names: Sequence[str]) -> str | None:
    """Return the model that is called by its role, or the only one."""
    return role if role in names else names[0] if len(names) == 1 else None


def _outputs(trainer: Trainer, inputs: Inputs, student: str, teacher: str) -> dict[str, str] | None:
    """Return the taps of both outputs and of the target, from the inputs of a metric and of the losses."""
    taps = [tap for tap in inputs.values() if isinstance(tap, str)]
    own = next((tap for tap in taps if Tap.parse(tap).source == student), None)
    target = next((tap for tap in taps if Tap.parse(tap).source == BATCH), None)
    if own is None or target is None:
        return None
    terms = [term.inputs.values() for stage in trainer.stages for term in stage.losses.values()]
    partners = [
        tap
        for values in terms
        if own in values
        for tap in values
        if isinstance(tap, str) and Tap.parse(tap).source == teacher
    ]
    same = teacher + own.removeprefix(student)
    return {"student": own, "teacher": (partners or [same])[0], "target": target}


def _first_sample(loader: Loader, run_dir: Path) -> Loader:
    if isinstance(loader, Stream):
        refuse(
            f"{run_dir}: the evaluation data are a stream, on which models cannot be compared", "omit --compare-models"
        )
    first = loader.order(SeedPath())[:1].tolist()
    return Loader(loader.dataset, 1, sampler=first, collate=loader.collate, fields=loader.fields)


def _calls(trainer: Trainer, pair: Pair, one: Loader) -> dict[str, Call]:
    """Return the arguments of both models for one sample."""
    calls: dict[str, Call] = {}
    metrics = {"outputs": Metric(metric=OutputCollector(), inputs=pair.outputs)}
    with _recorded(trainer.models, calls):
        trainer.evaluate(Evaluation(loader=one, metrics=metrics), stage=trainer.stages[-1])
    return calls


@contextmanager
def _recorded(models: Mapping[str, nn.Module], calls: dict[str, Call]) -> Iterator[None]:
    """Record the arguments with which models are called."""

    def recorder(name: str) -> Any:
        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ARG001
            calls[name] = (args, kwargs)

        return record

    handles = [model.register_forward_pre_hook(recorder(name), with_kwargs=True) for name, model in models.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _stages(model: nn.Module, call: Call) -> list[StageFeature]:
    """Return the stages of a model; none if its forward needs data or has no maps or tokens."""
    inputs = ExampleInputs(to_device(call[0], "meta"), to_device(call[1], "meta"), "a sample")
    try:
        summary = summarise(copy.deepcopy(model), inputs)
    except Exception:  # noqa: BLE001 - a model may fail in any way without data
        return []
    found = stage_features(model, summary)
    return [feature for feature in found if isinstance(summary.outputs[feature.tap], Tensor)]


def _feature_inputs(model: str, parameter: str, features: Sequence[StageFeature]) -> dict[str, list[Feature]]:
    if not features:
        return {}
    taps = [Feature(f"{model}.{each.tap}", as_="vector", layout=_layout(each)) for each in features]
    return {parameter: taps}


def _layout(feature: StageFeature) -> Any:
    return "tokens" if len(feature.shape) == 3 else feature.layout


def _example_field(one: Loader) -> str | None:
    """Return the field of a batch that holds images or the indices of tokens, if there is one."""
    batch = next(iter(one.batches(SeedPath())))
    return next((name for name in FIELDS if isinstance(batch.get(name), Tensor)), None)


def _shower(loader: Loader) -> Callable[[Tensor], bytes | str | None]:
    """Return a function that makes a picture or a text of an input."""
    dataset: Any = loader.dataset
    tokenizer: Any = None
    while dataset is not None and tokenizer is None:
        tokenizer, dataset = getattr(dataset, "tokenizer", None), getattr(dataset, "dataset", None)

    def show(value: Tensor) -> bytes | str | None:
        if value.is_floating_point():
            return to_png(value)
        return (
            str(tokenizer.decode(value, skip_special_tokens=True))
            if tokenizer is not None and value.dim() == 1
            else None
        )

    return show
