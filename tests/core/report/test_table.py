"""The table and the plot of finished runs."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from distill_core.errors import DataError
from distill_core.report import caption, collect, markdown_table, mean_and_deviation, plot, summarise, write


def finished(folder: Path, seed: int, tested: float, tested_last: float, **changes: Any) -> Path:
    results: dict[str, Any] = {
        "test": {"top1": tested},
        "best": {"stage": 0, "epoch": 3, "val": {"top1": 90.0}, "test": {"top1": tested}},
        "last": {"stage": 0, "epoch": 9, "val": {"top1": 80.0}, "test": {"top1": tested_last}},
        "selection": {"metric": "top1", "mode": "max", "split": "val"},
        "seed": seed,
        "seconds": 1.5,
        "parameters": {"teacher": 999_999, "student": 1234},
    }
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results | changes))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    runs = [
        finished(tmp_path / "kd" / "seed1", 1, 92.0, 91.0, about="distilled"),
        finished(tmp_path / "kd" / "seed0", 0, 90.0, 89.0, about="distilled"),
        finished(tmp_path / "alone" / "seed0", 0, 80.0, 79.0),
    ]
    (tmp_path / "alone" / "seed1").mkdir()
    return [*runs, tmp_path / "alone" / "seed1"]


def test_the_table_is_exactly_this(folders: list[Path]) -> None:
    rows = summarise(collect(folders))
    assert markdown_table(rows) == (
        "|  | parameters | runs | test top1, best epoch | test top1, last epoch | val top1 |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| distilled | 1,234 | 2 | 91.00 ± 1.41 | 90.00 ± 1.41 | 90.00 ± 0.00 |\n"
        "| alone | 1,234 | 1 | 80.00 | 79.00 | 90.00 |\n"
        "\n"
        "Best epoch: max top1 on val. Test split: evaluated once, at the end. ±: sample standard deviation over runs with different seeds.\n"
    )


def test_an_unfinished_run_is_left_out(folders: list[Path]) -> None:
    assert [(result.row, result.seed) for result in collect(folders)] == [("kd", 1), ("kd", 0), ("alone", 0)]


def test_runs_are_in_the_order_of_the_seeds(folders: list[Path]) -> None:
    assert [row.values for row in summarise(collect(folders))] == [(90.0, 92.0), (80.0,)]


def test_the_deviation_is_that_of_a_sample() -> None:
    mean, deviation = mean_and_deviation([1.0, 2.0, 4.0])
    assert mean == pytest.approx(7 / 3)
    assert deviation == pytest.approx(math.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2))
    assert math.isnan(mean_and_deviation([5.0])[1])


def test_without_a_selection_the_last_epoch_is_shown_and_nothing_is_said_of_a_choice(tmp_path: Path) -> None:
    run = finished(tmp_path / "kd" / "a", 0, 70.0, 70.0, best=None, selection=None)
    rows = summarise(collect([run]))
    assert rows[0].best[0] == 70.0
    assert "| kd | 1,234 | 1 | 70.00 | 70.00 | – |" in markdown_table(rows)
    assert caption(rows).startswith("Test split: evaluated once")


@pytest.mark.parametrize(
    ("metric", "changes", "message"),
    [
        ("top2", {}, "no test metric 'top2'\n  hint: did you mean 'top1'?"),
        (
            "",
            {"test": None, "best": None, "last": {}},
            "the run has no test metrics\n  hint: add `test:` to the experiment",
        ),
    ],
)
def test_a_run_without_the_metric_is_refused(
    tmp_path: Path, metric: str, changes: dict[str, Any], message: str
) -> None:
    run = finished(tmp_path / "kd" / "a", 0, 70.0, 70.0, **changes)
    with pytest.raises(DataError) as error:
        collect([run], metric=metric)
    assert str(error.value) == f"{run / 'results.json'}: {message}"


def test_the_files_of_a_report(folders: list[Path], tmp_path: Path) -> None:
    results = collect(folders)
    table, raw, figure = write(tmp_path / "report" / "digits", results, summarise(results), title="Digits")
    assert table.read_text().startswith("# Digits\n\n|  | parameters |")
    assert [run["best"] for run in json.loads(raw.read_text())["runs"]] == [92.0, 90.0, 80.0]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_a_plot_can_be_a_vector_drawing_that_names_every_row(folders: list[Path], tmp_path: Path) -> None:
    plot(tmp_path / "plot.svg", summarise(collect(folders)), title="Digits")
    drawing = (tmp_path / "plot.svg").read_text()
    assert "<svg" in drawing
    assert all(f"<!-- {name} -->" in drawing for name in ("distilled", "alone"))


def test_reading_results_needs_neither_torch_nor_matplotlib() -> None:
    code = "import sys, distill_core.report; print(sorted({'torch', 'matplotlib', 'rich'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_fractions_are_printed_in_percent(tmp_path: Path) -> None:
    runs = [
        finished(tmp_path / "kd" / f"{seed}", seed, 0.9 + seed / 100, math.nan, percent=["top1"]) for seed in (0, 2)
    ]
    results = collect(runs)
    rows = summarise(results)
    table = markdown_table(rows)
    assert "| test top1 (%), best epoch | test top1 (%), last epoch | val top1 (%) |" in table
    assert "| kd | 1,234 | 2 | 91.00 ± 1.41 | – |" in table
    _, raw, _ = write(tmp_path / "report", results, rows, title="Digits")
    assert [run["best"] for run in json.loads(raw.read_text())["runs"]] == [0.9, 0.92]
    plot(tmp_path / "plot.svg", rows, title="Digits")
    assert "<!-- 91.00 ± 1.41 -->" in (tmp_path / "plot.svg").read_text()


def test_cocos_minus_one_is_not_a_percentage(tmp_path: Path) -> None:
    rows = summarise(collect([finished(tmp_path / "kd" / "0", 0, -1.0, -1.0, percent=["top1"])]))
    assert "| -1.000 | -1.000 |" in markdown_table(rows)


def test_a_plot_has_a_line_at_chance(folders: list[Path], tmp_path: Path) -> None:
    rows = summarise(collect(folders))
    plot(tmp_path / "with.svg", rows, title="Digits", chance_level=0.1)
    plot(tmp_path / "without.svg", rows, title="Digits")
    assert "<!-- chance -->" in (tmp_path / "with.svg").read_text()
    assert "<!-- chance -->" not in (tmp_path / "without.svg").read_text()


@pytest.mark.filterwarnings("error")
def test_a_plot_shows_long_names_within_its_edges(tmp_path: Path) -> None:
    from matplotlib.image import imread

    command = "distill new a/folder --teacher timm.create_model model_name=resnet18 pretrained=false grained=" * 2
    folders = [
        finished(tmp_path / f"{row}{command[:9]}" / "0", 0, 80.0 + row, 79.0, about=f"{name}, lr=0.{row}")
        for row, name in enumerate((command, "x" * 200, "costs $ and $\\x$ more " * 9, "short"))
    ]
    rows = summarise(collect(folders))
    for number in (1, len(rows)):
        plot(tmp_path / "plot.png", rows[:number], title=command)
        image = imread(tmp_path / "plot.png")[..., :3]
        edges = (image[:3], image[-3:], image[:, :3], image[:, -3:])
        assert all((edge == 1).all() for edge in edges)
    assert command in markdown_table(rows)
    plot(tmp_path / "plot.svg", rows, title="Digits")
    assert all(f"lr=0.{row} -->" in (tmp_path / "plot.svg").read_text() for row in range(4))
