"""A preview of a run, without training: shapes, losses, trained parameters, problems, and the cost of a cache.

found = preview(experiment)
for problem in found.problems: print(problem)
for tap in found.stages[0].taps: print(tap.tap, tap.shape)
"""

from ._cache_cost import CacheCost as CacheCost
from ._cache_cost import plan_caches as plan_caches
from ._cache_verify import CacheDifference as CacheDifference
from ._cache_verify import verify_caches as verify_caches
from ._cached_stages import StoredView as StoredView
from ._cached_stages import build_caches as build_caches
from ._feature_pairs import FeaturePair as FeaturePair
from ._feature_pairs import StageFeature as StageFeature
from ._feature_pairs import pair_features as pair_features
from ._feature_pairs import stage_features as stage_features
from ._memory import StageMemory as StageMemory
from ._memory import predict_memory as predict_memory
from ._meta_build import build_on_meta as build_on_meta
from ._meta_build import on_meta as on_meta
from ._model_inputs import ExampleInputs as ExampleInputs
from ._model_inputs import example_inputs as example_inputs
from ._model_summary import ModelSummary as ModelSummary
from ._model_summary import ModuleSummary as ModuleSummary
from ._model_summary import summarise as summarise
from ._preview import preview as preview
from ._record import ForwardPreview as ForwardPreview
from ._record import MetricPreview as MetricPreview
from ._record import ModelPreview as ModelPreview
from ._record import Preview as Preview
from ._record import StagePreview as StagePreview
from ._record import TapPreview as TapPreview
from ._record import TermPreview as TermPreview
from ._record import TrainablePreview as TrainablePreview
from ._refuse_models import refuse_models as refuse_models
