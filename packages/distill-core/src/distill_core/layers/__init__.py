"""Building blocks that several methods share: adapters with parameters, and functions on features.

Features are (batch, channels, height, width) maps, (batch, tokens, channels) sequences or (batch, channels) vectors.
"""

from ._arguments import one_of as one_of
from ._arguments import positive as positive
from ._arguments import within as within
from ._class_logits import class_index as class_index
from ._class_logits import require_class_logits as require_class_logits
from ._class_logits import require_classes as require_classes
from ._class_logits import require_targets as require_targets
from ._constant import Constant as Constant
from ._convolution import NormalisedConv as NormalisedConv
from ._divergence import LEAST as LEAST
from ._divergence import cross_entropy as cross_entropy
from ._divergence import finite as finite
from ._divergence import kl_divergence as kl_divergence
from ._divergence import log_mixture as log_mixture
from ._divergence import other_classes as other_classes
from ._divergence import other_log_probabilities as other_log_probabilities
from ._divergence import smooth_cross_entropy as smooth_cross_entropy
from ._divergence import softmax_divergence as softmax_divergence
from ._divergence import target_or_not as target_or_not
from ._embedding import UnitEmbedding as UnitEmbedding
from ._factor import Paraphraser as Paraphraser
from ._factor import Translator as Translator
from ._features import at_least_float32 as at_least_float32
from ._features import pairs as pairs
from ._features import pool_to_smaller as pool_to_smaller
from ._features import require_same_shape as require_same_shape
from ._features import unit_length as unit_length
from ._features import without_autocast as without_autocast
from ._fusion import AttentionFusion as AttentionFusion
from ._generator import Generator as Generator
from ._global_context import GlobalContext as GlobalContext
from ._orthogonal import OrthogonalProjection as OrthogonalProjection
from ._projection import ProjectionHead as ProjectionHead
from ._queues import ClassQueues as ClassQueues
from ._reduction_scope import reduction_scope_of as reduction_scope_of
from ._regressor import Regressor as Regressor
from ._renormalise import Renormalise as Renormalise
from ._reversal import GradientReversal as GradientReversal
from ._reversal import Progress as Progress
from ._ruled_out import checks_on_every_device as checks_on_every_device
from ._ruled_out import excluded as excluded
from ._ruled_out import filled as filled
from ._ruled_out import nothing_left as nothing_left
from ._ruled_out import refuse_infinite as refuse_infinite
from ._ruled_out import refuse_infinite_target as refuse_infinite_target
from ._ruled_out import ruled_out as ruled_out
from ._stage_head import StageHead as StageHead
from ._tokens import per_token as per_token
from ._tokens import require_token_logits as require_token_logits
from ._variance import ChannelVariance as ChannelVariance
