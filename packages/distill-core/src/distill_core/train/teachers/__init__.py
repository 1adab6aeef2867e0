"""Teacher sources: where the tensors of frozen models come from, and the check that these models have not changed."""

from ._cached_model import CachedModel as CachedModel
from ._cached_source import CachedSource as CachedSource
from ._caches import CacheInputs as CacheInputs
from ._caches import Caches as Caches
from ._compiled import compiled as compiled
from ._frozen import FrozenModels as FrozenModels
from ._own_input import OwnInput as OwnInput
from ._own_input import set_own_inputs as set_own_inputs
from ._placement import may_learn as may_learn
from ._placement import place_models as place_models
from ._placement import wirings as wirings
from ._source import ModelSource as ModelSource
from ._source import sources_for as sources_for
from ._view_plan import num_rows as num_rows
from ._view_plan import plan_of_rows as plan_of_rows
