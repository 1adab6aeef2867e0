"""Laws of a stage: to set it up and to resume it changes nothing, whatever loss is in it."""

from __future__ import annotations

import pytest
import torch
from torch.nn.parameter import is_lazy

from .cases import Case, table
from .stages import BATCH, differences, experiment, resumed_at_every_step, run


def kind(case: Case) -> tuple[str, bool]:
    """The class of a case, and whether its parameters are to be inferred."""
    loss = case.loss()
    return type(loss).__name__, any(is_lazy(tensor) for tensor in (*loss.parameters(), *loss.buffers()))


CASES = list({kind(case): case for case in reversed(table())}.values())[::-1]


def made(case: Case, workers: int | None = None):
    torch.manual_seed(1)
    return experiment(case.loss(), case.draw(BATCH), workers)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_resumed_at_every_step_equals_the_undisturbed_run(case: Case, tmp_path):
    undisturbed = run(made(case))
    assert undisturbed
    assert differences(resumed_at_every_step(lambda: made(case), tmp_path), undisturbed) == []


@pytest.mark.parametrize("name", ["CRDLoss", "SRDLoss", "KDLoss"])
def test_the_number_of_workers_changes_nothing(name):
    case = next(case for case in CASES if case.name == name)
    here, with_workers = run(made(case, 0)), run(made(case, 2))
    assert differences(with_workers, here) == []
