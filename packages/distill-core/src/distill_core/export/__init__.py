"""Trained models as files that run with torch or onnxruntime alone.

`export` traces a model with tensors as inputs and outputs. It then runs the file in a separate process that can import
only the runtime of the file, compares the outputs with the model's on real samples, and only then moves the file to its
path.
"""

from ._card import model_card as model_card
from ._card import usage as usage
from ._export import FORMATS as FORMATS
from ._export import Exported as Exported
from ._export import export as export
from ._inputs import batch_for as batch_for
from ._sidecar import Sidecar as Sidecar
from ._sidecar import describe_data as describe_data
from ._tensors_only import TensorsOnly as TensorsOnly
