"""What a run will do, without training: shapes, losses, parameters, problems, and the cost of a cache."""

from ._cache_tools import build_caches as build_caches
from ._cache_tools import plan_caches as plan_caches
from ._cache_tools import verify_caches as verify_caches
from ._describe import describe_model as describe_model
from ._describe import describe_source as describe_source
from ._describe import describe_weight as describe_weight
from ._preview import deep_check as deep_check
from ._record import aligned as aligned
from ._refuse_models import refuse_models as refuse_models
