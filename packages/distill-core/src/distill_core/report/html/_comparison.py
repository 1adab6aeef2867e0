"""The part of a page that compares a student with its teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ._examples import worst_examples
from ._heat_map import heat_map
from ._line_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, Series, figure, frame
from ._markup import Html, element, join
from ._page import Section
from ._tables import copyable, data_table

if TYPE_CHECKING:
    from ..comparison import Agreement, ModelComparison, ModelCost, Reliability

MAX_CLASSES = 20
"""Greatest number of classes for which a matrix is drawn, and of classes in a table."""
TENTHS = tuple(number / 5 for number in range(6))


def comparison_section(name: str, comparison: ModelComparison, *, data: str = "") -> Section:
    """Return the comparison of the models of a run.

    Args:
        name: Name of the run.
        comparison: What was found.
        data: Name of the split.
    """
    parts = [
        element("p", f"On the {comparison.num_samples:,} samples of the split {data or 'test'}."),
        data_table("Predictions of both models", _agreement(comparison.agreement, comparison.num_samples)),
        element("h3", "Calibration"),
        element(
            "p",
            "Confidence against accuracy, before and after temperature scaling. The temperature is fitted on every second "
            "sample; both curves and the expected calibration error (ECE, 15 bins) are those of the other samples.",
        ),
        element(
            "div",
            _reliability("Reliability of the student", *comparison.student),
            _reliability("Reliability of the teacher", *comparison.teacher),
            class_="grid-of",
        ),
        *_by_class(comparison),
        *_cka(comparison),
        worst_examples(comparison.examples),
    ]
    return Section(f"Student and teacher: {name}", join(*parts))


def cost_section(costs: Mapping[str, Mapping[str, ModelCost]], *, device: str) -> Section:
    """Return the costs of models, measured here.

    Args:
        costs: Run → model → cost.
        device: Where they were measured.
    """
    heads = ["", "parameters", "GFLOPs", "latency (ms)", "weights (MB)", "activations (MB)"]
    lines = [
        [
            f"{run}: {model}",
            f"{cost.parameters:,}",
            f"{cost.flops / 1e9:.4g}",
            f"{cost.seconds * 1e3:.3g}",
            f"{cost.weight_bytes / 1e6:.4g}",
            "–" if cost.activation_bytes is None else f"{cost.activation_bytes / 1e6:.4g}",
        ]
        for run, models in costs.items()
        for model, cost in models.items()
    ]
    caption = f"One sample of the evaluation data, on {device}. Latency: the median of 15 forwards in eval mode."
    return Section("Costs measured on this machine", copyable(caption, [heads, *lines]) if lines else Html(""))


def _agreement(found: Agreement, num_samples: int) -> list[list[str]]:
    counts = {
        "both right": found.both_right,
        "only the teacher right": found.only_teacher_right,
        "only the student right": found.only_student_right,
        "both wrong": found.both_wrong,
        "both wrong with one prediction": found.same_error,
    }
    return [
        ["", "samples", "share"],
        ["same prediction", str(round(found.agreement * num_samples)), f"{found.agreement:.2%}"],
        *([name, str(count), f"{count / num_samples:.2%}"] for name, count in counts.items()),
        ["errors of both among errors of either", "", f"{found.error_overlap:.2%}"],
        ["mean KL divergence of the student from the teacher", "", f"{found.kl:.4g} nats"],
    ]


def _reliability(title: str, before: Reliability, after: Reliability) -> Html:
    across, up = Scale(TENTHS, LEFT, WIDTH - RIGHT), Scale(TENTHS, HEIGHT - BOTTOM, TOP)
    series = [
        Series(f"before: ECE {before.ece:.2%}", 0, [list(zip(before.confidence, before.accuracy, strict=True))]),
        Series(
            f"after, temperature {after.temperature:.3g}: ECE {after.ece:.2%}",
            1,
            [list(zip(after.confidence, after.accuracy, strict=True))],
        ),
    ]
    drawn = [
        element("path", class_="diagonal", d=f"M{across(0)} {up(0)}L{across(1)} {up(1)}"),
        *(_curve(each, across, up) for each in series),
    ]
    description = "; ".join(each.name for each in series) + ". The diagonal is perfect calibration."
    return figure(
        title, join(frame(across, up, "confidence", "accuracy"), *drawn), description=description, legend=series
    )


def _curve(series: Series, across: Scale, up: Scale) -> Html:
    (points,) = series.lines
    path = "L".join(f"{across(x)} {up(y)}" for x, y in points)
    dots = [element("circle", class_=f"dot c{series.index}", cx=across(x), cy=up(y), r=3) for x, y in points]
    return join(element("path", d=f"M{path}", **series.style()), *dots)


def _by_class(comparison: ModelComparison) -> Sequence[Html]:
    changed = sorted(comparison.by_class, key=lambda each: each.student - each.teacher)
    lines = [
        [
            each.name,
            str(each.count),
            f"{each.teacher:.1%}",
            f"{each.student:.1%}",
            f"{each.student - each.teacher:+.1%}",
        ]
        for each in changed
    ]
    heads = ["class", "samples", "teacher", "student", "difference"]
    if len(lines) <= MAX_CLASSES:
        caption = "Accuracy by class, the largest loss first"
        rows = [f"true {name}" for name in comparison.classes]
        matrix = heat_map(
            "Confusion: samples of the student minus samples of the teacher",
            rows,
            comparison.classes,
            comparison.confusion,
            corner="predicted",
            digits=0,
        )
    else:
        half = MAX_CLASSES // 2
        caption = f"Accuracy by class: the {half} largest losses and the {half} largest gains"
        lines = [*lines[:half], *lines[-half:]]
        matrix = data_table("Confusions that differ most", _confusions(comparison))
    return [element("h3", "Classes"), data_table(caption, [heads, *lines]), matrix]


def _confusions(comparison: ModelComparison) -> list[list[str]]:
    """Return the pairs of classes whose number of confusions differs most between the models."""
    found = [
        (abs(count), row, column, count)
        for row, counts in enumerate(comparison.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    largest = sorted(found, key=lambda each: -each[0])[:MAX_CLASSES]
    names = comparison.classes
    lines = [[f"{names[row]} predicted as {names[column]}", f"{count:+d}"] for _, row, column, count in largest]
    return [["confusion", "student minus teacher"], *lines]


def _cka(comparison: ModelComparison) -> Sequence[Html]:
    if not comparison.cka:
        return []
    caption = "Linear CKA of the stages, their features averaged over positions; 1 is the same representation"
    matrix = heat_map(
        caption, comparison.student_stages, comparison.teacher_stages, comparison.cka, corner="student / teacher"
    )
    return [element("h3", "Similarity of stages"), matrix]
