"""Several processes: gradients, shards, buffers that differ, failures of peers, stop requests."""

from ._ddp import SharedGradients as SharedGradients
from ._deepspeed import ZeroEngine as ZeroEngine
from ._fsdp import SUFFIX as SUFFIX
from ._fsdp import blocks as blocks
from ._fsdp import clip_sharded as clip_sharded
from ._fsdp import is_sharded as is_sharded
from ._fsdp import like as like
from ._fsdp import load_unsharded as load_unsharded
from ._fsdp import load_unsharded_optimizer as load_unsharded_optimizer
from ._fsdp import local as local
from ._fsdp import reshard as reshard
from ._fsdp import shard_models as shard_models
from ._fsdp import sharded_names as sharded_names
from ._fsdp import unsharded as unsharded
from ._fsdp import unsharded_weights as unsharded_weights
from ._peer_failure import lost_another as lost_another
from ._peer_failure import peer_error as peer_error
from ._peer_failure import report_failure as report_failure
from ._rank_buffers import each_process as each_process
from ._rank_buffers import own_buffers as own_buffers
from ._rank_buffers import restore_own_buffers as restore_own_buffers
from ._rank_buffers import same_buffers as same_buffers
from ._stop import StopRequest as StopRequest
