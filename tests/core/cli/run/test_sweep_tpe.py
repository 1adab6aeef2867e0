"""TPE search of `distill sweep` with Optuna, on an objective that trains nothing."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from distill_core.cli.run._grid import Sweep
from distill_core.cli.run._search_range import SearchRange
from distill_core.cli.run._sweep_runs import SweepRuns
from distill_core.train import Checkpoint

RANGES = {"lr": SearchRange(1.0e-4, 1.0, log=True), "width": SearchRange(2, 9)}
GRID = {"seed": ["0", "1", "2"], "kind": ["a", "b"]}
EPOCHS = 4
CHOOSE = "choose from 'grid', 'random', 'tpe'"


def quality(values: dict[str, str]) -> float:
    """Best at lr = 0.01, width = 6 and kind b; a seed adds a little."""
    import math

    distance = abs(math.log10(float(values["lr"])) + 2) + abs(int(values["width"]) - 6) / 8 + (values["kind"] == "a")
    return 1 - distance / 4 + 0.01 * int(values.get("seed", 0))


class Runs:
    """In place of training: four epochs whose metric rises to the quality of the values."""

    def __init__(self, mode: str = "max") -> None:
        self.started: list[dict[str, str]] = []
        self.checkpoint = Checkpoint(best="top1", mode=mode)
        self.interrupt_at = self.fail_at = -1

    def __call__(self, file, changes, *, output, callbacks=(), **_):
        values = dict(change.split("=") for change in changes)
        self.started.append(values)
        if len(self.started) == self.interrupt_at:
            raise KeyboardInterrupt
        if len(self.started) == self.fail_at:
            raise RuntimeError("out of luck")
        sign = -1 if self.checkpoint.mode == "min" else 1
        for epoch in range(1, EPOCHS + 1):
            state = SimpleNamespace(
                stage=0, epoch=epoch, measured={"val": {"top1": sign * quality(values) * epoch / EPOCHS}},
                was_measured=lambda split: True,
            )  # fmt: skip
            run = SimpleNamespace(
                state=state, stages=[None], callbacks=[self.checkpoint], is_last_epoch=epoch == EPOCHS
            )
            for callback in callbacks:
                callback.on_epoch_end(run)
        output.mkdir(parents=True)
        selection = {"metric": "top1", "mode": self.checkpoint.mode, "split": "val"}
        best = {"val": {"top1": sign * quality(values)}}
        (output / "results.json").write_text(json.dumps({"best": best, "selection": selection}))


@pytest.fixture
def runs(monkeypatch):
    made = Runs()
    monkeypatch.setattr("distill_core.cli.run._run.run_experiment", made)
    monkeypatch.setattr(SweepRuns, "check", lambda self, points: None)
    return made


def search(folder: Path, trials: int, *, prune: bool = False, grid=GRID, ranges=RANGES):
    pytest.importorskip("optuna")
    from distill_core.cli.run._tpe import search_by_tpe

    sweep = Sweep(Path("x.yaml"), grid=dict(grid), ranges=dict(ranges))
    return search_by_tpe(SweepRuns(sweep, folder, io.StringIO()), trials, metric="", prune=prune)


def means(points: dict[Path, dict[str, str]]) -> list[float]:
    return [
        sum(quality(point) for point in list(points.values())[start : start + 3]) / 3
        for start in range(0, len(points), 3)
    ]


def test_tpe_finds_better_settings_than_random_search_of_the_same_budget(tmp_path, runs):
    points, failed = search(tmp_path, 30)
    assert not failed
    assert len(points) == len(runs.started) == 90
    assert {point["seed"] for point in points.values()} == {"0", "1", "2"}
    drawn = list(Sweep(Path("x.yaml"), grid=GRID, ranges=RANGES).points(30))
    assert len(drawn) == 90
    random = means({Path(str(index)): point for index, point in enumerate(drawn)})
    assert sum(means(points)[10:]) / 20 > sum(random[10:]) / 20 + 0.1


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_study_has_the_mean_over_seeds_as_its_values(tmp_path, runs, mode):
    runs.checkpoint = Checkpoint(best="top1", mode=mode)
    points, _ = search(tmp_path, 3)
    import optuna

    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "optuna.journal"))
    )
    trials = optuna.load_study(study_name="distill", storage=storage).trials
    assert [trial.value for trial in trials] == pytest.approx(means(points))


@pytest.mark.parametrize("interrupted", [1, 5, 8, 38])
def test_an_interrupted_search_continues_as_it_would_have(tmp_path, runs, interrupted):
    complete, _ = search(tmp_path / "complete", 15)
    runs.started.clear()
    runs.interrupt_at = interrupted
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "out", 15)
    runs.interrupt_at = -1
    resumed, _ = search(tmp_path / "out", 15)
    first = {point["lr"] for point in complete.values()}
    assert len(resumed) == 45
    assert len(runs.started) == 46  # only the interrupted run was started twice
    assert len(first & {point["lr"] for point in resumed.values()}) >= interrupted // 3 + 1
    assert search(tmp_path / "out", 15) == (resumed, [])
    assert len(runs.started) == 46
    assert list(search(tmp_path / "out", 16)[0])[:45] == list(resumed)


def test_a_failed_setting_counts_and_is_tried_again_by_the_next_call(tmp_path, runs):
    runs.fail_at = 4
    points, failed = search(tmp_path, 4)
    assert len(failed) == 1
    assert len(points) == 12
    assert len(runs.started) == 3 * 3 + 1
    points, failed = search(tmp_path, 4)
    assert (len(points), failed) == (12, [])
    assert len(runs.started) == 3 * 4 + 1


def test_pruned_settings_count_and_their_other_seeds_are_not_run(tmp_path, runs):
    points, _ = search(tmp_path, 30, prune=True)
    names = [json.dumps({k: v for k, v in values.items() if k != "seed"}) for values in runs.started]
    pruned = {name for name in names if names.count(name) == 1}
    assert len(set(names)) == 30
    assert pruned
    assert len(points) == 3 * (30 - len(pruned))
    assert len(runs.started) == 90 - 2 * len(pruned)
    started = len(runs.started)
    assert search(tmp_path, 30, prune=True)[0] == points
    assert len(runs.started) == started


def test_a_small_space_ends_the_search(tmp_path, runs):
    grid = {"kind": ["a", "b"], "lr": ["0.1", "0.01"], "width": ["2", "6"], "seed": ["0", "1", "2"]}
    points, _ = search(tmp_path, 50, grid=grid, ranges={})
    assert len(points) == 24
    assert len(runs.started) == 24


def test_a_search_of_other_values_is_refused(tmp_path, runs):
    from distill_core.errors import ConfigError

    search(tmp_path, 2)
    with pytest.raises(ConfigError, match="has other values to try or another metric\n  hint: choose another --output"):
        search(tmp_path, 3, ranges={**RANGES, "width": SearchRange(2, 8)})
    (tmp_path / "optuna.journal").write_text("{}\n{}\n")
    with pytest.raises(ConfigError, match="is not a journal of Optuna"):
        search(tmp_path, 3)


def test_a_missing_optuna_is_named_with_its_extra(toy, distill, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    ended = distill("sweep", toy, "stages.0.optimizer.lr=0.1,0.2", "--search", "tpe", "--trials", "2", "--trust", "toy")
    message = "--search tpe needs the package optuna\n  hint: pip install 'distill-core[optuna]'\n"
    assert (ended.code, ended.err) == (1, message)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--search", "tpe"], "--search tpe needs a number of settings\n  hint: add --trials N\n"),
        (["--search", "random"], "--search random needs a number of settings\n  hint: add --trials N\n"),
        (["--search", "bayes"], f"the search must be one of grid, random, tpe, got 'bayes'\n  hint: {CHOOSE}\n"),
        (
            ["--search", "grid", "--trials", "3"],
            "a grid runs all combinations, so --trials does not apply\n  hint: use --search random or tpe\n",
        ),
        (["--trials", "3", "--prune"], "--prune requires --search tpe, got random\n  hint: add --search tpe\n"),
    ],
)
def test_options_that_do_not_belong_to_the_search_are_refused(toy, distill, options, message):
    ended = distill("sweep", toy, "stages.0.optimizer.lr=0.1,0.2", *options, "--trust", "toy")
    assert (ended.code, ended.err) == (2, message)


def test_ranges_are_drawn_within_their_ends_and_all_runs_of_two_seeds_are_real(toy, distill):
    file = toy.with_name("sweep.yaml")
    lr, width = "stages.0.optimizer.lr", "models.student.width"
    ranges = f"  {lr}: {{low: 1.0e-3, high: 1.0, log: true}}\n  {width}: {{low: 4, high: 6}}\n"
    file.write_text(f"experiment: toy.yaml\ngrid: {{seed: [0, 1]}}\nranges:\n{ranges}")
    words = ("stages.0.epochs=1", "--output", "out", "--json", "--trust", "toy")
    refused = distill("sweep", file, *words)
    assert refused.err == "a search of ranges needs a number of settings\n  hint: add --trials N\n"
    ended = distill("sweep", file, "--trials", "1", *words)
    assert ended.code == 0
    records = json.loads(ended.out)
    assert [len(record["folders"]) for record in records] == [2]
    for record in records:
        assert 1.0e-3 <= float(record["values"][lr]) <= 1
        assert record["values"][width] in ("4", "5", "6")
    file.write_text(f"experiment: toy.yaml\nranges:\n  {lr}: {{low: 1.0, high: 0.1}}\n  {width}: 3\n")
    refused = distill("sweep", file, *words)
    assert refused.code == 2
    assert f"low must be less than high, got 1.0 and 0.1 (at ranges.{lr})" in refused.err
    assert f"'{width}' must be a range (at ranges.{width})" in refused.err


def test_draws_of_a_range_follow_its_distribution():
    from random import Random

    source = Random(0)
    log = [float(SearchRange(1.0e-4, 1.0, log=True).draw(source)) for _ in range(2000)]
    assert 900 < sum(value < 0.01 for value in log) < 1100
    flat = [float(SearchRange(0.0, 1.0).draw(source)) for _ in range(2000)]
    assert 900 < sum(value < 0.5 for value in flat) < 1100
    whole = [int(SearchRange(2, 5).draw(source)) for _ in range(2000)]
    assert {n: 400 < whole.count(n) < 600 for n in set(whole)} == dict.fromkeys((2, 3, 4, 5), True)
    assert {int(SearchRange(1, 64, log=True).draw(source)) for _ in range(2000)} >= {1, 2, 3, 64}
