"""The trainer: stages of training with any number of models and loss terms, with or without a teacher."""

from ..experiment import Evaluation as Evaluation
from ..experiment import Experiment as Experiment
from ..experiment import Metric as Metric
from ..experiment import Stage as Stage
from ..experiment import Term as Term
from ._distiller import Distiller as Distiller
from ._distiller import batch_values as batch_values
from ._distiller import not_one_number as not_one_number
from ._evaluation import evaluate as evaluate
from ._lazy import first_batch as first_batch
from ._located import failure_note as failure_note
from ._readers import check_readers as check_readers
from ._resolved_stage import ResolvedStage as ResolvedStage
from ._stage import prepare_stage as prepare_stage
from ._stage import resolved_stages as resolved_stages
from ._stage_notes import stage_notes as stage_notes
from ._stage_run import StageRun as StageRun
from ._state import Run as Run
from ._state import RunState as RunState
from ._trainer import Trainer as Trainer
from .callbacks import Callback as Callback
from .callbacks import Checkpoint as Checkpoint
from .callbacks import EarlyStopping as EarlyStopping
from .callbacks import Evaluate as Evaluate
from .callbacks import TensorBoard as TensorBoard
from .teachers import CachedModel as CachedModel
