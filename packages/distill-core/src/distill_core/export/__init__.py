"""Trained models as files for torch, onnxruntime, transformers or llama.cpp.

`export` traces a model with tensors as inputs and outputs. It then runs the file in a separate process that can import
only the runtime of the file, compares the outputs with the model's on real samples, and only then moves the file to its
path. `transformers` and `gguf` are checked as their functions say.
"""

from ._adapters import check_mergeable as check_mergeable
from ._adapters import has_adapters as has_adapters
from ._adapters import merge_adapters as merge_adapters
from ._card import model_card as model_card
from ._card import usage as usage
from ._export import FORMATS as FORMATS
from ._export import Exported as Exported
from ._export import export as export
from ._gguf import find_converter as find_converter
from ._inputs import batch_for as batch_for
from ._inputs import longest_sequence as longest_sequence
from ._int8 import OnnxModel as OnnxModel
from ._int8 import quantize as quantize
from ._pretrained import pipeline_of as pipeline_of
from ._pretrained import write_pretrained as write_pretrained
from ._program_model import ProgramModel as ProgramModel
from ._sidecar import Sidecar as Sidecar
from ._sidecar import describe_data as describe_data
from ._tensors_only import TensorsOnly as TensorsOnly
from ._training import Training as Training
from ._training import describe_training as describe_training
