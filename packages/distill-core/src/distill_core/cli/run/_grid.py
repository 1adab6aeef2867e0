"""The space of a sweep: an experiment, lists of values and ranges of its keys."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .._exit import refuse
from ._search_range import SearchRange

SEED = "seed"
"""The key whose values are repetitions of a setting."""
_MOST_DRAWS = 100  # for each different setting


@dataclass
class Sweep:
    """An experiment and the values to try.

    Attributes:
        experiment: The file of the experiment.
        metric: The metric that ranks the runs; empty for the one that selects the checkpoint.
        grid: Key → values as YAML, two or more.
        ranges: Key → the range of its numbers.
        constant: Overrides that are the same for all runs.
    """

    experiment: Path
    metric: str = ""
    grid: dict[str, list[str]] = field(default_factory=dict)
    ranges: dict[str, SearchRange] = field(default_factory=dict)
    constant: list[str] = field(default_factory=list)

    @property
    def choices(self) -> dict[str, list[str]]:
        """The keys with lists of values, without `seed`."""
        return {key: values for key, values in self.grid.items() if key != SEED}

    @property
    def num_settings(self) -> int | None:
        """Number of different settings; None if there are ranges."""
        return None if self.ranges else math.prod(len(values) for values in self.choices.values())

    def points(self, trials: int | None = None) -> Iterator[dict[str, str]]:
        """Yield combinations, key → value; the last key changes fastest.

        Args:
            trials: Number of settings, each with all seeds; all settings by default. The order of the draw is always the
                same, so a larger number continues a search.

        Raises:
            ConfigError: There are ranges and no number of settings.
        """
        if self.ranges:
            if trials is None:
                refuse("a search of ranges needs a number of settings", "add --trials N")
            for setting in self._drawn(trials):
                yield from self.with_seeds(setting)
            return
        keys, choices = list(self.choices), self.choices
        settings = list(itertools.product(*choices.values()))
        if trials is not None:
            chosen = random.Random(0).sample(range(len(settings)), len(settings))[:trials]  # noqa: S311 - not a secret
            settings = [settings[index] for index in sorted(chosen)]
        kept = set(settings)
        for values in itertools.product(*self.grid.values()):
            point = dict(zip(self.grid, values, strict=True))
            if tuple(point[key] for key in keys) in kept:
                yield point

    def with_seeds(self, setting: Mapping[str, str]) -> list[dict[str, str]]:
        """Return a setting with each seed."""
        return [{**setting, SEED: seed} for seed in self.grid[SEED]] if SEED in self.grid else [dict(setting)]

    def corners(self) -> Iterator[dict[str, str]]:
        """Yield settings that together have every listed value, and both ends of every range."""
        values = {**self.choices, **{key: each.ends for key, each in self.ranges.items()}}
        for index in range(max(map(len, values.values()), default=1)):
            setting = {key: listed[min(index, len(listed) - 1)] for key, listed in values.items()}
            yield from self.with_seeds(setting)

    def _drawn(self, trials: int) -> list[dict[str, str]]:
        """Return different random settings, fewer than `trials` if the space has fewer."""
        drawn: list[dict[str, str]] = []
        for index in range(_MOST_DRAWS * trials):
            source = random.Random(index)  # noqa: S311 - not a secret
            setting = {key: source.choice(values) for key, values in self.choices.items()}
            setting |= {key: each.draw(source) for key, each in self.ranges.items()}
            if setting not in drawn:
                drawn.append(setting)
            if len(drawn) == trials:
                break
        return drawn
