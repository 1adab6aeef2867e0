"""`distill sweep`: what is tried, what is skipped, which was best."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from distill_core.errors import ConfigError

LR, WIDTH = "stages.0.optimizer.lr", "models.student.width"
TRUST = ("--trust", "toy")
SHORT = "stages.0.epochs=1"


@pytest.fixture
def file(toy) -> Path:
    """A sweep of two times two runs beside the experiment."""
    path = toy.with_name("sweep.yaml")
    path.write_text(f"experiment: toy.yaml\ngrid:\n  {LR}: [0.0, 0.5]\n  {WIDTH}: [4, 6]\n")
    return path


def test_every_combination_is_run_and_the_best_on_the_validation_split_comes_first(file, distill):
    ended = distill("sweep", file, SHORT, "--output", "out", *TRUST)
    assert (ended.code, ended.err) == (0, "")
    records = json.loads(Path("out/sweep.json").read_text())
    tried = {(record["values"][LR], record["values"][WIDTH]) for record in records}
    assert tried == {(lr, width) for lr in ("0.0", "0.5") for width in ("4", "6")}
    assert [record["value"] for record in records] == sorted((r["value"] for r in records), reverse=True)
    for record in records:
        (folder,) = record["folders"]
        run = Path("out") / folder
        results = json.loads((run / "results.json").read_text())
        assert results["best"]["val"]["share"] == record["value"]
        assert f"lr: {record['values'][LR]}" in (run / "config.resolved.yaml").read_text()
    assert Path("out/sweep.md").read_text().startswith(f"| {LR} | {WIDTH} | val share | runs | folder |\n")
    table = ended.out[ended.out.index("val share") :]
    assert f"{records[0]['value']:.4f}" in table.splitlines()[2]


def test_what_is_finished_is_left_and_what_is_missing_made(file, distill):
    distill("sweep", file, SHORT, "--output", "out", *TRUST)
    runs = sorted(path for path in Path("out").iterdir() if path.is_dir())
    before = {run: (run / "results.json").stat().st_mtime_ns for run in runs[1:]}
    (runs[0] / "results.json").unlink()
    ended = distill("sweep", file, SHORT, "--output", "out", *TRUST)
    assert ended.out.count("already finished") == 3
    assert (runs[0] / "results.json").is_file()
    assert {run: (run / "results.json").stat().st_mtime_ns for run in runs[1:]} == before


def test_an_experiments_own_file_is_swept_from_the_command_line(toy, distill):
    ended = distill("sweep", toy, SHORT, f"{LR}=0.1,0.2", "--output", "out", *TRUST)
    assert ended.code == 0
    assert {path.name for path in Path("out").iterdir() if path.is_dir()} == {"lr=0.1", "lr=0.2"}


def test_a_run_that_fails_does_not_stop_the_others(toy, distill):
    ended = distill("sweep", toy, SHORT, f"{LR}=-1.0,0.1", "--output", "out", *TRUST)
    assert ended.code == 1
    assert "lr=-1.0 failed: stages.0.optimizer: it cannot be created: Invalid learning rate: -1.0\n" in ended.err
    assert "1 of 2 runs failed: lr=-1.0\n  hint: see log.txt in each folder" in ended.err
    assert [record["folders"] for record in json.loads(Path("out/sweep.json").read_text())] == [["lr=0.1"]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ["stages.0.epochs=1"],
            "small/toy.yaml: no key has several values to try\n"
            "  hint: list them on the command line, stages.0.optimizer.lr=0.1,0.2, or name `experiment` and `grid` in a file\n",
        ),
        (
            [f"{LR}=1,[2"],
            "'1,[2' is not a list of values: expected ',' or ']', but got '<stream end>'\n  hint: write key=a,b,c\n",
        ),
    ],
)
def test_what_is_no_sweep_is_refused(toy, distill, changes, message):
    ended = distill("sweep", toy, *changes, *TRUST)
    assert (ended.code, ended.err) == (2, message)


def test_a_mistake_in_any_run_is_told_before_the_first(toy, distill):
    ended = distill("sweep", toy, "models.student.wdith=4,8", "--output", "out", *TRUST)
    assert ended.code == 2
    assert "'models.student' has no key 'wdith'" in ended.err
    assert not Path("out").exists()


def test_mistakes_in_a_sweep_stand_at_their_place(file, distill):
    file.write_text(f"experiment: toy.yaml\nmetrc: share\ngrid:\n  {LR}: 0.1\n")
    ended = distill("sweep", file, *TRUST)
    assert ended.code == 2
    assert ended.err == (
        "small/sweep.yaml:2:8: a sweep has no key 'metrc' (at metrc)\n    metrc: share\n           ^\n"
        "  hint: did you mean 'metric'?\n"
        f"small/sweep.yaml:4:26: '{LR}' must be a list of values (at grid.{LR})\n"
        f"      {LR}: 0.1\n                             ^\n"
    )


def test_finished_runs_of_another_experiment_are_no_part_of_the_table(toy, distill):
    distill("sweep", toy, SHORT, f"{LR}=0.1,0.2", "--output", "out", *TRUST)
    toy.write_text(toy.read_text().replace("seed: 3", "seed: 4"))
    ended = distill("sweep", toy, SHORT, f"{LR}=0.1,0.2", "--output", "out", *TRUST)
    assert ended.code == 2
    assert ended.err == (
        "the run in out/lr=0.1 is of another experiment: config.resolved.yaml differs\n"
        "  hint: choose another --output\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metric", "shaer"], "no callback measures 'shaer'\n  hint: did you mean 'share'?\n"),
        (["callbacks.1.best=null"], "no metric ranks the runs\n  hint: add --metric NAME, or a Checkpoint with `best` to the experiment\n"),
    ],
)  # fmt: skip
def test_runs_that_cannot_be_ranked_are_refused_before_the_first(toy, distill, words, message):
    ended = distill("sweep", toy, SHORT, f"{LR}=0.1,0.2", "--output", "out", *words, *TRUST)
    assert ended == (2, "", message)
    assert not Path("out").exists()


def test_an_own_callback_may_measure_any_metric():
    from distill_core.cli.run._ranking import refuse_unranked

    refuse_unranked({"callbacks.0": "!import_call:own.Measure"}, "anything")
    refuse_unranked(
        {"callbacks.0": "!import_call:distill_core.train.Evaluate", "callbacks.0.metrics.coco.metric": "x"}, "coco.AP"
    )
    with pytest.raises(ConfigError, match="no callback measures 'anything'"):
        refuse_unranked({"callbacks.0": "!import_call:distill_core.train.Evaluate"}, "anything")


def test_reading_a_sweep_imports_nothing_it_names(toy, distill):
    Path("toy.py").write_text("raise RuntimeError('imported')")
    ended = distill("sweep", toy, f"{LR}=0.1,0.2", "--output", "out")
    assert ended.code == 3
    assert not Path("out").exists()


def finished(folder: Path, value: float | None, mode: str = "max") -> Path:
    """A finished run with a value on the validation split."""
    folder.mkdir(parents=True)
    selection = {"metric": "top1", "mode": mode, "split": "val"}
    (folder / "results.json").write_text(json.dumps({"best": {"val": {"top1": value}}, "selection": selection}))
    return folder


def points_of(folder: Path, values: dict[str, list[float | None]], mode: str = "max") -> dict[Path, dict[str, str]]:
    """Setting → value of each seed; a number below 0 is a run that is not finished."""
    points = {}
    for setting, measured in values.items():
        for seed, value in enumerate(measured):
            path = folder / f"{setting}{seed}"
            points[path] = {"lr": setting, "seed": str(seed)}
            if value is None or value >= 0:
                finished(path, value, mode)
    return points


@pytest.mark.parametrize(
    ("values", "mode", "order"),
    [
        ({"lucky": [0.99, 0.1, 0.2], "steady": [0.6, 0.61, 0.62]}, "max", ["steady", "lucky"]),
        ({"lucky": [0.01, 0.9, 0.8], "steady": [0.4, 0.41, 0.42]}, "min", ["steady", "lucky"]),
        ({"incomplete": [0.99, -1, -1], "complete": [0.6, 0.61, 0.62]}, "max", ["complete", "incomplete"]),
        ({"diverged": [0.99, None, 0.9], "steady": [0.6, 0.61, 0.62]}, "max", ["steady", "diverged"]),
    ],
)
def test_settings_are_ranked_by_the_mean_over_seeds(tmp_path, values, mode, order):
    from distill_core.cli.run._ranking import ranked

    records = ranked(points_of(tmp_path, values, mode))
    assert [record["values"]["lr"] for record in records] == order
    for record in records:
        runs = [value for value in values[record["values"]["lr"]] if value is None or value >= 0]
        assert record["measured"] == runs
        assert len(record["folders"]) == len(runs)
        if None in runs:
            assert (record["value"], record["deviation"]) == (None, None)
        else:
            assert record["value"] == pytest.approx(statistics.fmean(runs))
            assert record["deviation"] == (pytest.approx(statistics.stdev(runs)) if len(runs) > 1 else None)


def test_seeds_share_a_row_and_json_is_printed_alone(toy, distill):
    ended = distill("sweep", toy, SHORT, f"{LR}=0.0,0.5", "seed=1,2", "--output", "out", "--json", *TRUST)
    records = json.loads(ended.out)
    assert records == json.loads(Path("out/sweep.json").read_text())
    assert [len(record["folders"]) for record in records] == [2, 2]
    assert all(list(record["values"]) == [LR] for record in records)
    assert ended.err.startswith("1/4 lr=0.0,seed=1\n")
    assert " ± " in Path("out/sweep.md").read_text()


def test_random_trials_take_all_seeds_and_continue_with_a_larger_number():
    from distill_core.cli.run._grid import Sweep

    grid = {"lr": [str(n) for n in range(10)], "seed": ["0", "1"], "width": ["4", "8"]}
    sweep = Sweep(Path("x.yaml"), grid=grid)
    every = list(sweep.points())
    assert len(every) == 40
    before: list[dict[str, str]] = []
    for trials in range(1, 21):
        points = list(sweep.points(trials))
        assert len(points) == 2 * trials
        assert all(point in points for point in before)
        assert points == [point for point in every if point in points]
        before = points
    assert list(sweep.points(99)) == every
    assert [point["lr"] for point in sweep.points(3)] != ["0", "0", "0", "0", "0", "0"]
