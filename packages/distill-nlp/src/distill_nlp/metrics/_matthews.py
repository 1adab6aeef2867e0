"""Matthews correlation coefficient.

Brian W. Matthews. "Comparison of the predicted and observed secondary structure of T4 phage lysozyme". Biochimica et
Biophysica Acta, 1975. https://doi.org/10.1016/0005-2795(75)90109-9. For several classes: Jan Gorodkin. "Comparing two
K-category assignments by a K-category correlation coefficient". Computational Biology and Chemistry, 2004.
https://doi.org/10.1016/j.compbiolchem.2004.09.006
"""

from __future__ import annotations

from typing import final

from ._confusion import AbstractConfusionMetric


@final
class MatthewsCorrelation(AbstractConfusionMetric):
    """The correlation between predicted and true classes, from −1 to 1, and 0 if either is constant.

    Args:
        num_classes: Number of classes.

    >>> import torch
    >>> metric = MatthewsCorrelation()
    >>> metric.update(torch.tensor([1, 0, 1, 0]), torch.tensor([1, 0, 1, 0]))
    >>> metric.compute()
    1.0
    """

    def compute(self) -> float:
        """Return the coefficient over all processes."""
        counts = self.confusion()
        total, true, predicted = counts.sum(), counts.sum(1), counts.sum(0)
        covariance = counts.diagonal().sum() * total - true @ predicted
        spread = (total**2 - true @ true) * (total**2 - predicted @ predicted)
        return float(covariance / spread.sqrt()) if spread > 0 else 0.0
