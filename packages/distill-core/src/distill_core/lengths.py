"""Lengths in the arguments of learning-rate schedulers: which parameters count, and shares of a stage such as `5%`.

The trainer and `distill check` share these rules. This module imports neither torch nor yaml.
"""

from __future__ import annotations

import re
from typing import Any

LENGTHS = ("total_steps", "T_max", "num_training_steps", "t_initial", "total_iters")
"""Parameters that are the length of an entire schedule."""
WARM_UPS = ("num_warmup_steps", "warmup_t")
COUNTS = dict.fromkeys(
    (*LENGTHS, "step_size", "step_size_up", "step_size_down", "T_0", "decay_t", "num_decay_steps"), 1
) | dict.fromkeys((*WARM_UPS, "num_stable_steps", "milestones"), 0)
"""Parameter → the least value of its count."""
SHARE_HINT = "write a share with a percent sign, `5%`"

_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")


def share(value: Any) -> float | None:
    """Return the percentage that a value gives; None if it is not a share.

    >>> share("5%"), share("5 %"), share(5)
    (5.0, None, None)
    """
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    return float(match[1]) if match else None


def length_problem(name: str, value: Any) -> str:
    """Return what is wrong with an argument that is one count or share; empty if nothing is.

    >>> length_problem("T_max", "120%")
    '`T_max` is 120% of the stage, but a share is from 0% to 100%'
    >>> length_problem("milestones", "5 %")
    "`milestones` must be a number >= 0 or a share of the stage, got '5 %'"
    """
    percent, least = share(value), COUNTS.get(name)
    if percent is not None and percent > 100:
        return f"`{name}` is {value} of the stage, but a share is from 0% to 100%"
    if least is None or not isinstance(value, str | int | float):
        return ""
    number = percent if isinstance(value, str) else value  # 0% is 0, and any other share is at least 1
    if number is not None and (number >= least or (percent and least)):
        return ""
    return f"`{name}` must be a number >= {least} or a share of the stage, got {value!r}"
