"""Callbacks: code that runs at fixed points of training."""

from ._callback import Callback as Callback
from ._checkpoint import Checkpoint as Checkpoint
from ._defaults import with_defaults as with_defaults
from ._early_stopping import EarlyStopping as EarlyStopping
from ._evaluate import Evaluate as Evaluate
from ._log import MetricsLog as MetricsLog
from ._log import TensorBoard as TensorBoard
from ._reduce_lr import ReduceLROnPlateau as ReduceLROnPlateau
from ._track import Track as Track
