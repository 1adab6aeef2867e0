"""Text metrics that are fractions printed in percent. Correlations and perplexities are not."""

from __future__ import annotations

from distill_nlp import metrics

PERCENT = {
    "Accuracy", "ClassScores", "EntityF1", "ExactMatch", "F1", "GlueMetric", "MultiLabelF1", "SquadMetric", "TokenAgreement",
}  # fmt: skip


def test_every_metric_of_accuracy_or_f1_is_printed_in_percent():
    classes = {name: getattr(metrics, name) for name in dir(metrics) if hasattr(getattr(metrics, name), "compute")}
    assert {name for name, metric in classes.items() if getattr(metric, "percent", False)} == PERCENT
    assert metrics.GlueMetric.percent == ("accuracy", "f1")
