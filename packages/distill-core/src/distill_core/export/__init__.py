"""Trained models as files for those who have torch, or onnxruntime, and nothing else.

`export` traces a model with tensors in and tensors out, runs the file in a process of its own that cannot import anything
but the file's runtime, compares it with the model on real samples, and only then puts the file in its place.
"""

from ._card import model_card as model_card
from ._card import usage as usage
from ._export import FORMATS as FORMATS
from ._export import Exported as Exported
from ._export import export as export
from ._inputs import batch_for as batch_for
from ._sidecar import Travels as Travels
from ._sidecar import describe_data as describe_data
from ._tensors_only import TensorsOnly as TensorsOnly
