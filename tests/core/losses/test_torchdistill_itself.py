"""Our losses against those of torchdistill itself on new inputs, where it is installed (hatch run torchdistill:test)."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from .golden import Golden
from .test_golden_torchdistill import CASES, counterpart

pytestmark = pytest.mark.torchdistill

OUT = {"path": "x", "io": "output"}
ENDS = {
    "student_module_path": "x",
    "student_module_io": "output",
    "teacher_module_path": "x",
    "teacher_module_io": "output",
}
PAIR = {"pair": {"student": OUT, "teacher": OUT, "weight": 1}}
Make = Callable[[Any, dict[str, Any]], Any]


def two(first: str, second: str) -> dict[str, str]:
    """Return the arguments of a loss that reads two modules of each model, `x` and `y`."""
    names = {
        f"{side}_{end}_module": path for side in ("student", "teacher") for end, path in ((first, "x"), (second, "y"))
    }
    return {f"{name}_path": path for name, path in names.items()} | {f"{name}_io": "output" for name in names}


FLOW = {"first": OUT, "second": {"path": "y", "io": "output"}}
FSP = {f"{side}_{end}": place for side in ("student", "teacher") for end, place in FLOW.items()}

THEIRS: dict[str, Make] = {
    "KDLoss": lambda m, s: m.KDLoss(**ENDS, **s),
    "LogitStdKDLoss": lambda m, s: m.LogitStdKDLoss(**ENDS, **s),
    "ATLoss": lambda m, s: m.ATLoss(PAIR, **s),
    "PKTLoss": lambda m, s: m.PKTLoss(**ENDS),
    "FTLoss": lambda m, s: m.FTLoss(**s, paraphraser_path="x", translator_path="x"),
    "AltActTransferLoss": lambda m, s: m.AltActTransferLoss(PAIR, **s, reduction="mean"),
    "RKDLoss": lambda m, s: m.RKDLoss("x", "x", **s, reduction="mean"),
    "SPKDLoss": lambda m, s: m.SPKDLoss("x", "x", reduction="batchmean"),
    "AuxSSKDLoss": lambda m, s: m.AuxSSKDLoss("x"),
    "SSKDLoss": lambda m, s: m.SSKDLoss("x", "x", "y", "y", **s),
    "PADL2Loss": lambda m, s: m.PADL2Loss("x", "x", module_path="y"),
    "HierarchicalContextLoss": lambda m, s: m.HierarchicalContextLoss(**ENDS, output_sizes=[4, 2, 1]),
    "KTALoss": lambda m, s: m.KTALoss(**s, knowledge_translator_path="x", feature_adapter_path="x"),
    "AffinityLoss": lambda m, s: m.AffinityLoss("x", "x"),
    "ChSimLoss": lambda m, s: m.ChSimLoss(PAIR),
    "DISTLoss": lambda m, s: m.DISTLoss(**ENDS, **s),
    "DISTPlusLoss": lambda m, s: m.DISTPlusLoss(**two("feature", "logit"), **s),
    "SRDLoss": lambda m, s: m.SRDLoss(**two("feature", "linear"), **s),
    "SKDDirectionLoss": lambda m, s: m.SKDDirectionLoss(**ENDS, **s),
    "SKDInstanceLoss": lambda m, s: m.SKDInstanceLoss(**ENDS, **s),
    "FSPLoss": lambda m, s: m.FSPLoss({"pair": FSP}),
}
"""Method → their loss. CRD, VID, CCKD and the sparsity of KTAAD need modules of theirs."""

SECOND = {
    "SSKDLoss": "{side}_embedding", "PADL2Loss": "{side}_log_variance", "DISTPlusLoss": "{side}_logits",
    "SRDLoss": "{side}_logits", "FSPLoss": "{side}_second",
}  # fmt: skip
"""Method → the input that is the output of the module `y`."""


def fresh(case: Golden) -> Golden:
    """Return the case with other numbers; log-variances and labels are kept."""
    noise = torch.Generator().manual_seed(zlib.crc32(f"{case.method} {case.name}".encode()))
    kept = {"target", "student_log_variance"}
    tensors = {
        name: value if name in kept else torch.randn(value.shape, dtype=value.dtype, generator=noise)
        for name, value in case.tensors.items()
    }
    return replace(case, tensors=tensors)


def outputs(case: Golden, side: str) -> dict[str, dict[str, Any]]:
    """Return what torchdistill's hooks would hand to the loss."""
    first = next((name for name in (side, f"{side}_feature", f"{side}_first") if name in case.tensors), "student")
    found: dict[str, dict[str, Any]] = {"x": {"output": case[first]}}
    if (
        case.method == "HierarchicalContextLoss" and side == "student"
    ):  # the review's module also returns its fused features
        found["x"] = {"output": (case[first], None)}
    second = SECOND.get(case.method, "").format(side=side)
    if second in case.tensors:
        found["y"] = {"output": case[second]}
    return found


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.method in THEIRS], ids=lambda case: f"{case.method}: {case.name}"
)
def test_equals_torchdistill(case):
    losses = importlib.import_module("torchdistill.losses.mid_level")
    case, (_, entry) = fresh(case), counterpart(case)
    loss = THEIRS[case.method](losses, case.settings)
    target = case.tensors.get("target")
    theirs = loss(outputs(case, "student"), outputs(case, "teacher"), targets=target)
    ours = (entry.theirs or entry.call)(case)
    tolerance = 1e-4 if case.method in {"PKTLoss", "DISTPlusLoss"} else 1e-7
    assert theirs.item() == pytest.approx(ours.item(), rel=tolerance)
