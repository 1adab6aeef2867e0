"""Several processes: gradients, shards, buffers that differ, failures of peers, stop requests."""

from ._ddp import SharedGradients as SharedGradients
from ._deepspeed import ZeroEngine as ZeroEngine
from ._fsdp import SUFFIX as SUFFIX
from ._fsdp import clip_sharded as clip_sharded
from ._fsdp import is_sharded as is_sharded
from ._fsdp import like as like
from ._fsdp import load_whole as load_whole
from ._fsdp import load_whole_optimizer as load_whole_optimizer
from ._fsdp import local as local
from ._fsdp import shard_models as shard_models
from ._fsdp import sharded_names as sharded_names
from ._fsdp import whole as whole
from ._peer_failure import lost_another as lost_another
from ._peer_failure import tell_others as tell_others
from ._peer_failure import why_another_ended as why_another_ended
from ._rank_buffers import each_process as each_process
from ._rank_buffers import own_buffers as own_buffers
from ._rank_buffers import restore_own_buffers as restore_own_buffers
from ._rank_buffers import same_buffers as same_buffers
from ._stop import StopRequest as StopRequest
