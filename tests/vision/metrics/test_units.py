"""Every metric that is printed in percent computes fractions, and every metric of this kind is printed in percent."""

from __future__ import annotations

import pytest
import torch

from distill_vision import metrics

NOT_FRACTIONS = {"ConfusionMatrix", "TeacherDivergence", "DataSize"}
METRICS = [name for name in dir(metrics) if hasattr(getattr(metrics, name), "compute")]


def filled(name: str):
    draw = torch.Generator().manual_seed(0)
    scores, target = torch.randn(50, 4, generator=draw), torch.randint(4, (50,), generator=draw)
    if name == "CocoAP":
        pytest.importorskip("pycocotools")
        boxes, labels = torch.tensor([[0.0, 0.0, 50.0, 50.0]]), torch.tensor([1])
        metric = metrics.CocoAP()
        found = {"boxes": boxes + 8, "labels": labels, "scores": torch.ones(1)}
        metric.update([found], [{"image_id": 1, "boxes": boxes, "labels": labels}])
        return metric
    arguments = {"ConfusionMatrix": [4], "SegmentationScores": [4], "ClassScores": [list("abcd")]}
    metric = getattr(metrics, name)(*arguments.get(name, []))
    if name == "DataSize":
        metric.update(sent=scores)
        return metric
    metric.update(scores, scores.roll(1, 0) if name in ("Agreement", "TeacherDivergence") else target)
    return metric


@pytest.mark.parametrize("name", METRICS)
def test_what_is_printed_in_percent_is_a_fraction(name):
    metric = filled(name)
    assert getattr(metric, "percent", False) == (name not in NOT_FRACTIONS)
    if name not in NOT_FRACTIONS:
        computed = metric.compute()
        values = list(computed.values()) if isinstance(computed, dict) else [computed]
        assert all(0 <= value <= 1 or value == -1 for value in values)
        assert any(0 < value < 1 for value in values)
