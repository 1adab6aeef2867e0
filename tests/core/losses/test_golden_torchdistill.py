"""Our losses against values and gradients of torchdistill 1.1.5 (golden/torchdistill/*.json)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from .golden import Golden, check, read
from .golden_torchdistill import TABLE, Counterpart

FOLDER = Path(__file__).parent / "golden" / "torchdistill"
CASES = read(FOLDER)

EXACT, SMALL = (1e-9, 1e-8), (1e-6, 1e-6)
TOLERANCES = dict.fromkeys(("PKTLoss", "CRDLoss"), SMALL)
"""Losses of theirs that add a small constant or compute partly in single precision."""
TOLERANCES["DISTPlusLoss"] = (1e-5, 1e-6)  # correlations near 0, with a small constant in the denominator

SAME_ON_PURPOSE = {"DISTPlusLoss: logits only"}
"""Cases of a corrected loss whose settings switch off what is corrected."""


def counterpart(case: Golden) -> tuple[str, Counterpart]:
    mode = case.name.partition(",")[0] if case.method == "SKDInstanceLoss" else case.name.rpartition(", ")[2]
    key = next(key for key in (f"{case.method}: {mode}", case.method) if key in TABLE)
    return key, TABLE[key]


def cases_of(*relations: str):
    chosen = [case for case in CASES if counterpart(case)[1].relation in relations]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: f"{case.method}: {case.name}")


def compare(case: Golden, call) -> None:
    value, gradient = TOLERANCES.get(case.method, EXACT)
    # A term of weight 0 may leave an input without gradient.
    inputs = [x for name, x in case.tensors.items() if name in case.gradient]
    check(case, lambda case: call(case) + 0 * sum(x.sum() for x in inputs), value_rel=value, gradient_rel=gradient)


@cases_of("exact", "scaled")
def test_equals_torchdistill_up_to_the_factor(case: Golden):
    compare(case, counterpart(case)[1].call)


@cases_of("corrected")
def test_differs_from_torchdistill_as_the_table_says(case: Golden):
    _, entry = counterpart(case)
    compare(case, entry.theirs)
    ours = entry.call(case).item()
    assert (ours == pytest.approx(case.value, rel=1e-3)) == (f"{case.method}: {case.name}" in SAME_ON_PURPOSE)


def test_the_table_has_an_entry_per_loss_and_no_other():
    assert {counterpart(case)[0] for case in CASES} == set(TABLE)
    assert len({case.method for case in CASES}) == 25


@pytest.mark.parametrize("name", TABLE)
def test_an_entry_says_what_its_relation_needs(name: str):
    entry = TABLE[name]
    assert bool(entry.factor) == (entry.relation == "scaled")
    assert bool(entry.reason) == bool(entry.theirs) == (entry.relation == "corrected")


def test_values_are_of_double_precision():
    assert all(x.dtype in {torch.float64, torch.int64} for case in CASES for x in case.tensors.values())
