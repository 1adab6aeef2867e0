"""Checkpoints: writing, reading and resuming a run."""

from ._changes import record_changes as record_changes
from ._finite import begin_finite as begin_finite
from ._finite import prove_finite as prove_finite
from ._resume import gather_state as gather_state
from ._resume import restore_run as restore_run
from ._resume import restore_stage as restore_stage
from ._resume import trained_models as trained_models
from ._store import CheckpointStore as CheckpointStore
