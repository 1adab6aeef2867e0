"""Checkpoints: their content, their files, and resuming a run from them."""

from ._changes import record_changes as record_changes
from ._resume import RunCheckpoints as RunCheckpoints
from ._store import CheckpointStore as CheckpointStore
