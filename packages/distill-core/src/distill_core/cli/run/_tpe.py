"""TPE search with Optuna, whose trials are kept in `optuna.journal` beside the runs."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import DistillError
from ...report import mean_and_deviation
from ...train import Callback, Checkpoint
from .._exit import refuse
from ._grid import SEED
from ._ranking import score_of
from ._sweep_runs import PrunedError, SweepRuns, name_of

if TYPE_CHECKING:
    from ...train import Run

JOURNAL = "optuna.journal"
_MOST_REPEATS = 100
"""Number of known settings that TPE may propose in a row: then small ranges are exhausted."""

Points = dict[Path, dict[str, str]]


def search_by_tpe(runs: SweepRuns, trials: int, *, metric: str, prune: bool) -> tuple[Points, list[Path]]:
    """Try settings that TPE proposes from the results of the earlier ones, until `trials` have been tried.

    A proposal depends on the earlier trials alone, so an interrupted search continues as it would have. Settings that were
    interrupted or failed are tried again first. A pruned setting counts as tried.

    Args:
        runs: The runs of the sweep.
        trials: Number of settings, those of earlier calls included.
        metric: The metric, whose mean over seeds is optimised; by default the one that selects the checkpoint.
        prune: End a setting early whose first seed is worse than the median of the others at the same epoch.

    Returns:
        The folders of all runs with their values, without those of pruned settings, and the folders of the failed ones.

    Raises:
        ConfigError: An experiment has problems, or the folder has a search of another space.
        DistillError: The package optuna is not installed.
    """
    optuna = _optuna()
    runs.check(runs.folders(runs.sweep.corners()))
    search = _Search(optuna, runs, metric, prune=prune)
    runs.check(search.points())
    trials = min(trials, runs.sweep.num_settings or trials)
    while len(search.tried) < trials and search.num_repeats < _MOST_REPEATS:
        search.try_next(f"{len(search.tried) + 1}/{trials}")
    states = [setting.state for setting in search.tried.values()]
    pruned = states.count(optuna.trial.TrialState.PRUNED)
    print(f"{len(states)} settings, {pruned} of them pruned", file=runs.progress, flush=True)
    return search.points(), search.failed


@dataclass(frozen=True)
class _Tried:
    """A setting that was tried: its values, the state of its trial, and its result if it is finished."""

    values: dict[str, str]
    state: Any
    result: float | None = None


class _Search:
    """A study of Optuna, and the settings that it has tried."""

    def __init__(self, optuna: Any, runs: SweepRuns, metric: str, *, prune: bool) -> None:
        self.optuna, self.runs, self.metric, self.prune = optuna, runs, metric, prune
        self.states = optuna.trial.TrialState
        self.distributions = _distributions(optuna, runs)
        self.study = _open_study(optuna, runs, metric)
        self.tried: dict[str, _Tried] = {}
        self.failed: list[Path] = []
        self.num_repeats = 0
        self._again: list[dict[str, Any]] = []
        self._read_earlier()

    def try_next(self, number: str) -> None:
        """Run the next setting with each seed and record its result; a known setting is only recorded."""
        if self._again:
            self.study.enqueue_trial(self._again.pop(0))
        self.study.sampler = self.optuna.samplers.TPESampler(seed=len(self.study.trials))
        trial = self.study.ask(self.distributions)
        values = self._written(trial.params)
        name = name_of(values)
        self.num_repeats = self.num_repeats + 1 if name in self.tried else 0
        if name not in self.tried:
            self.tried[name] = self._run(values, trial, number)
        self.study.tell(trial, self.tried[name].result, state=self.tried[name].state)

    def points(self) -> Points:
        """Return the folders of all runs with their values, without those of pruned settings."""
        kept = [each.values for each in self.tried.values() if each.state != self.states.PRUNED]
        return self.runs.folders(point for values in kept for point in self.runs.sweep.with_seeds(values))

    def _run(self, values: dict[str, str], trial: Any, number: str) -> _Tried:
        """Run a setting with each seed; the first one may be pruned."""
        points = self.runs.folders(self.runs.sweep.with_seeds(values))
        self.runs.check(points)
        callbacks = [Prune(trial, self.metric)] if self.prune else []
        for path, point in points.items():
            try:
                finished = self.runs.run(path, point, number, callbacks)
            except PrunedError:
                return _Tried(values, self.states.PRUNED)
            if not finished:
                self.failed.append(path)
                return _Tried(values, self.states.FAIL)
            callbacks = []
        scores = [score_of(path, self.metric) for path in points]
        mean, _ = mean_and_deviation([score.value if score.higher_is_better else -score.value for score in scores])
        return _Tried(values, self.states.COMPLETE, mean if math.isfinite(mean) else -math.inf)

    def _read_earlier(self) -> None:
        """Read the trials of earlier calls: what was tried, and what is to be tried again."""
        again = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == self.states.RUNNING:
                self.study.tell(trial.number, state=self.states.FAIL)
            if set(trial.params) != set(self.distributions):
                continue  # interrupted before it had all values
            values = self._written(trial.params)
            if trial.state in (self.states.COMPLETE, self.states.PRUNED):
                result = trial.value if trial.state == self.states.COMPLETE else None
                self.tried.setdefault(name_of(values), _Tried(values, trial.state, result))
            else:
                again[name_of(values)] = dict(trial.params)
        self._again = [params for name, params in again.items() if name not in self.tried]

    def _written(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Return the values of a trial as YAML."""
        ranges = self.runs.sweep.ranges
        return {key: ranges[key].write(value) if key in ranges else value for key, value in params.items()}


class Prune(Callback):
    """Reports a metric to a trial after each epoch of the last stage, and ends the run if the trial is to be pruned.

    Args:
        trial: The trial of Optuna.
        metric: The metric; by default the one that selects the checkpoint.
    """

    def __init__(self, trial: Any, metric: str = "") -> None:
        self.trial = trial
        self.metric = metric

    def on_epoch_end(self, run: Run) -> None:
        """Report the metric if it was measured in this epoch."""
        best = next((each for each in run.callbacks if isinstance(each, Checkpoint) and each.best), Checkpoint())
        metric = self.metric or best.best
        if run.state.stage + 1 < len(run.stages) or not run.state.was_measured(best.split):
            return
        value = run.state.measured[best.split].get(str(metric))
        if value is None:
            return
        self.trial.report(-value if metric == best.best and best.mode == "min" else value, run.state.epoch)
        if not run.is_last_epoch and self.trial.should_prune():
            message = (
                f"pruned after epoch {run.state.epoch}: {metric} {value:.4g} is worse than the median of other settings"
            )
            raise PrunedError(message)


def _optuna() -> Any:
    """Return the package, which logs warnings only.

    Raises:
        DistillError: It is not installed.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        message = "--search tpe needs the package optuna"
        raise DistillError(message, hint="pip install 'distill-core[optuna]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distributions(optuna: Any, runs: SweepRuns) -> dict[str, Any]:
    """Return the distribution of each key."""
    kinds = optuna.distributions
    found = {key: kinds.CategoricalDistribution(values) for key, values in runs.sweep.choices.items()}
    for key, each in runs.sweep.ranges.items():
        kind = kinds.IntDistribution if each.is_integer else kinds.FloatDistribution
        found[key] = kind(each.low, each.high, log=each.log)
    return found


def _open_study(optuna: Any, runs: SweepRuns, metric: str) -> Any:
    """Return the study of a folder, new or continued.

    Raises:
        ConfigError: The folder has a search of another space, or its journal is damaged.
    """
    journal = optuna.storages.journal
    space = {key: str(each) for key, each in _distributions(optuna, runs).items()}
    space |= {"seeds": ", ".join(runs.sweep.grid.get(SEED, [])), "metric": metric}
    runs.folder.mkdir(parents=True, exist_ok=True)
    file = runs.folder / JOURNAL
    try:
        storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(file)))
        study = optuna.create_study(
            storage=storage, study_name="distill", direction="maximize", load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(),
        )  # fmt: skip
    except (ValueError, KeyError) as error:
        refuse(f"{file} is not a journal of Optuna: {error}", "choose another --output")
    if study.user_attrs.get("space", space) != space:
        refuse(f"the search in {runs.folder} has other values to try or another metric", "choose another --output")
    study.set_user_attr("space", space)
    return study
