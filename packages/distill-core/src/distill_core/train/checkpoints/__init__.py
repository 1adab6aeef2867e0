"""Checkpoints: their content, their files, and resuming a run from them."""

from ._changes import record_changes as record_changes
from ._files import newest_checkpoint as newest_checkpoint
from ._files import read_model as read_model
from ._resume import RunCheckpoints as RunCheckpoints
from ._store import CheckpointStore as CheckpointStore
