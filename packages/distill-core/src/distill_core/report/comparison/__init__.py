"""A student against its teacher: agreement, errors, calibration, similarity of layers, cost. Functions on plain tensors."""

from ._agreement import Agreement as Agreement
from ._agreement import agreement as agreement
from ._agreement import confusion as confusion
from ._agreement import divergence as divergence
from ._calibration import Reliability as Reliability
from ._calibration import calibration as calibration
from ._calibration import fit_temperature as fit_temperature
from ._calibration import reliability as reliability
from ._cka import cka_matrix as cka_matrix
from ._cka import linear_cka as linear_cka
from ._collector import Example as Example
from ._collector import OutputCollector as OutputCollector
from ._comparison import ClassAccuracy as ClassAccuracy
from ._comparison import ModelComparison as ModelComparison
from ._comparison import ShownExample as ShownExample
from ._comparison import compare_models as compare_models
from ._cost import ModelCost as ModelCost
from ._cost import measure_costs as measure_costs
from ._png import to_png as to_png
