"""Files of weights: safetensors or torch's format, one file or sharded, read without running code."""

from ._deferred import deferred as deferred
from ._deferred import deferred_weights as deferred_weights
from ._describe import describe_model as describe_model
from ._files import safetensors_files as safetensors_files
from ._layouts import Layout as Layout
from ._layouts import in_layout_of as in_layout_of
from ._load import MAX_SHOWN as MAX_SHOWN
from ._load import load_weights as load_weights
from ._load import misfit as misfit
from ._load import mismatches as mismatches
from ._load import other_shapes as other_shapes
from ._names import cleaned as cleaned
from ._names import unwrapped as unwrapped
from ._names import wrapper as wrapper
from ._save import memory as memory
from ._save import save_tensors as save_tensors
from ._save import save_weights as save_weights
from ._state_dict import State as State
from ._state_dict import read_state as read_state
from ._state_dict import read_weights as read_weights
from ._write import write_tensors as write_tensors
