'''Losses of knowledge distillation: ordinary modules over named tensors.

A loss takes the parameters of its `forward` — `student`, `teacher`, `target`, `index`, `mask` — and returns a scalar. It
owns its learned parameters and its buffers. It has no weight, knows no configuration and treats the teacher as constant.
A parameter that takes a list takes one entry per pair of layers.

Each method has one file. Its docstring starts like this, so that the table of methods can be generated from it
(`registry.reference`):

    """Name of the method (ACRONYM): the idea in one line.

        L = the formula, which defines what is computed

    Differences between paper and code, and other notes.

    Use: what the method is for.
    Taps: which tensors it reads, `student.layer3`.

    Paper: Title
    Authors: First Author, Second Author
    Venue: NeurIPS
    Year: 2015
    Link: https://…
    """

Each class declares with `reduction_scope` how a loss of several processes is defined:

* `"sample"`: a mean over samples. The mean over equal shards is the loss of the complete batch.
* `"gathered"`: compares samples with each other and gathers all processes' batches first, so that each process has the
  loss of the complete batch, and the averaged gradients are those of a single process with all samples.
* `"token"`: a mean over the tokens of all processes, see `token_mean`. However unequally they are spread, the averaged
  gradients are those of a single process with all tokens.
* `"local"`: compares the samples of the process's own batch. The loss depends on how the batch is split.
* `"unknown"`: depends on the model that computes the value.

An update of several batches, accumulated or of several processes, equals that of one large batch: the trainer weights
each batch by the count that its loss averages over. For `"sample"` these are the samples, for `"token"` the tokens that
`mask` counts. A loss that counts otherwise defines `count`, which takes inputs of `forward` and returns the count of a
batch as a tensor, or None if it is proportional to the samples:

    @staticmethod
    def count(target: Tensor) -> Tensor:
        return (target != 255).sum()

The inputs of `count` are wired to the batch or to a frozen model, so that the count is known before the step. Losses that
compare samples have no such count. They are accumulated by samples, with a note. `decomposes` marks exceptions: False
for a `"sample"` loss with memory, True for a `"gathered"` one whose value is the mean over the shards of a batch. A loss
without a declaration cannot be accumulated unless its term sets `averages_over`. The trainer knows the reductions of
torch's own losses.

In evaluation mode a loss changes none of its buffers, so one forward in that mode only creates the parameters whose
shapes are inferred.
'''

from ._abkd import ABKDLoss as ABKDLoss
from ._abkd import alpha_beta_divergence as alpha_beta_divergence
from ._adapted import AdaptedLoss as AdaptedLoss
from ._akl import AKLLoss as AKLLoss
from ._akl import adaptive_kl as adaptive_kl
from ._akl import head_fraction as head_fraction
from ._at import ATLoss as ATLoss
from ._at import attention_transfer as attention_transfer
from ._catkd import CATKDLoss as CATKDLoss
from ._catkd import class_attention as class_attention
from ._cckd import CCKDLoss as CCKDLoss
from ._cckd import congruence_distance as congruence_distance
from ._cckd import correlation as correlation
from ._cirkd import CIRKDLoss as CIRKDLoss
from ._cirkd import memory_divergence as memory_divergence
from ._cirkd import pixel_pairs as pixel_pairs
from ._clipkd import CLIPKDLoss as CLIPKDLoss
from ._clipkd import affinity_divergence as affinity_divergence
from ._clipkd import interactive_contrast as interactive_contrast
from ._crd import CRDLoss as CRDLoss
from ._crd import noise_contrastive as noise_contrastive
from ._crosskd import CrossKDLoss as CrossKDLoss
from ._crosskd import aligned as aligned
from ._crosskd import box_distance as box_distance
from ._crosskd import quality_focal as quality_focal
from ._crosskd import side_divergence as side_divergence
from ._ctkd import CTKDLoss as CTKDLoss
from ._cwd import CWDLoss as CWDLoss
from ._cwd import channel_divergence as channel_divergence
from ._dab import DABLoss as DABLoss
from ._dab import activation_boundaries as activation_boundaries
from ._deit import DeiTLoss as DeiTLoss
from ._deit import hard_label_cross_entropy as hard_label_cross_entropy
from ._dist import DISTLoss as DISTLoss
from ._dist import correlation_losses as correlation_losses
from ._dist import pearson as pearson
from ._distillm2 import DistiLLM2Loss as DistiLLM2Loss
from ._distillm2 import contrastive_kl as contrastive_kl
from ._distplus import DISTPlusLoss as DISTPlusLoss
from ._distplus import feature_correlations as feature_correlations
from ._dkd import DKDLoss as DKDLoss
from ._dkd import decoupled_divergences as decoupled_divergences
from ._dml import DMLLoss as DMLLoss
from ._dskd import DSKDLoss as DSKDLoss
from ._dskd import student_space as student_space
from ._dskd import teacher_space as teacher_space
from ._dskd_cma import DSKDCMALoss as DSKDCMALoss
from ._dskd_cma import token_attention as token_attention
from ._fgd import FGDLoss as FGDLoss
from ._fgd import box_scales as box_scales
from ._fgd import focal_attention as focal_attention
from ._fitnet import FitNetLoss as FitNetLoss
from ._fitnet import hint_mse as hint_mse
from ._forward_kl import ForwardKLLoss as ForwardKLLoss
from ._forward_kl import forward_kl as forward_kl
from ._forward_kl import token_mean as token_mean
from ._fsp import FSPLoss as FSPLoss
from ._fsp import fsp_matrix as fsp_matrix
from ._ft import FactorAutoencoderLoss as FactorAutoencoderLoss
from ._ft import FTLoss as FTLoss
from ._ft import factor_transfer as factor_transfer
from ._generalised_jsd import GeneralisedJSDLoss as GeneralisedJSDLoss
from ._generalised_jsd import generalised_jsd as generalised_jsd
from ._ghnd import GHNDLoss as GHNDLoss
from ._hnd import HNDLoss as HNDLoss
from ._hnd import squared_error as squared_error
from ._ickd import ICKDLoss as ICKDLoss
from ._ickd import channel_correlation as channel_correlation
from ._itrd import ITRDLoss as ITRDLoss
from ._itrd import correlation_term as correlation_term
from ._itrd import mutual_information_term as mutual_information_term
from ._kd import KDLoss as KDLoss
from ._kd import kd_divergence as kd_divergence
from ._kdls import KDLSLoss as KDLSLoss
from ._kr import KRLoss as KRLoss
from ._kr import hierarchical_context as hierarchical_context
from ._ktaad import AffinityLoss as AffinityLoss
from ._ktaad import KTALoss as KTALoss
from ._ktaad import KTAutoencoderLoss as KTAutoencoderLoss
from ._ktaad import affinity_distance as affinity_distance
from ._ktaad import knowledge_adaptation as knowledge_adaptation
from ._l2 import L2Loss as L2Loss
from ._ld import LDLoss as LDLoss
from ._ld import valuable_region as valuable_region
from ._lskd import StandardisedLogits as StandardisedLogits
from ._lskd import standardise_logits as standardise_logits
from ._mgd import MGDLoss as MGDLoss
from ._mgd import keep_some as keep_some
from ._mgd import squared_distance as squared_distance
from ._mlkd import MLKDLoss as MLKDLoss
from ._mlkd import gram_differences as gram_differences
from ._multi_teacher import MultiTeacherKDLoss as MultiTeacherKDLoss
from ._multi_teacher import averaged_log_probabilities as averaged_log_probabilities
from ._nkd import NKDLoss as NKDLoss
from ._nkd import other_cross_entropy as other_cross_entropy
from ._nkd import soft_target as soft_target
from ._nst import NSTLoss as NSTLoss
from ._nst import selectivity_discrepancy as selectivity_discrepancy
from ._ofa import OFALogitsLoss as OFALogitsLoss
from ._ofa import OFALoss as OFALoss
from ._ofa import target_enhanced as target_enhanced
from ._ofd import OFDLoss as OFDLoss
from ._ofd import negative_margin as negative_margin
from ._ofd import partial_distance as partial_distance
from ._padl2 import PADL2Loss as PADL2Loss
from ._padl2 import adaptive_l2 as adaptive_l2
from ._phis import PHISLoss as PHISLoss
from ._phis import hadamard as hadamard
from ._phis import isotropic_transform as isotropic_transform
from ._pkd import PKDLoss as PKDLoss
from ._pkd import normalised_distance as normalised_distance
from ._pkt import PKTLoss as PKTLoss
from ._pkt import probabilistic_transfer as probabilistic_transfer
from ._reported import ReportedLoss as ReportedLoss
from ._reverse_kl import ReverseKLLoss as ReverseKLLoss
from ._reverse_kl import reverse_kl as reverse_kl
from ._rkd import RKDLoss as RKDLoss
from ._rkd import angle_relation as angle_relation
from ._rkd import distance_relation as distance_relation
from ._rld import RLDLoss as RLDLoss
from ._rld import confidence_divergence as confidence_divergence
from ._rld import lower_divergence as lower_divergence
from ._rskd import RSKDLoss as RSKDLoss
from ._rskd import sampled_cross_entropy as sampled_cross_entropy
from ._sampled_kl import SampledReverseKLLoss as SampledReverseKLLoss
from ._sampled_kl import kl_estimate as kl_estimate
from ._sdd import SDDLoss as SDDLoss
from ._sdd import cell_logits as cell_logits
from ._semckd import SemCKDLoss as SemCKDLoss
from ._semckd import calibrated_distance as calibrated_distance
from ._simkd import SimKDLoss as SimKDLoss
from ._simkd import projected_mse as projected_mse
from ._skd import SKDDirectionLoss as SKDDirectionLoss
from ._skd import SKDInstanceLoss as SKDInstanceLoss
from ._skd import direction_distance as direction_distance
from ._skewed_kl import SkewedKLLoss as SkewedKLLoss
from ._skewed_kl import SkewedReverseKLLoss as SkewedReverseKLLoss
from ._skewed_kl import skewed_kl as skewed_kl
from ._skewed_kl import skewed_reverse_kl as skewed_reverse_kl
from ._spkd import SPKDLoss as SPKDLoss
from ._spkd import similarity_preserving as similarity_preserving
from ._srd import SRDLoss as SRDLoss
from ._srd import log_power_distance as log_power_distance
from ._sskd import SSKDHeadLoss as SSKDHeadLoss
from ._sskd import SSKDLoss as SSKDLoss
from ._sskd import best_ranked as best_ranked
from ._sskd import rotation_similarities as rotation_similarities
from ._structured import PairwiseLoss as PairwiseLoss
from ._structured import PixelwiseLoss as PixelwiseLoss
from ._structured import pair_distance as pair_distance
from ._structured import pixel_divergence as pixel_divergence
from ._taid import TAIDLoss as TAIDLoss
from ._taid import interpolated_kl as interpolated_kl
from ._tfkd import TfKDLoss as TfKDLoss
from ._tfkd import virtual_divergence as virtual_divergence
from ._tfkd import virtual_teacher as virtual_teacher
from ._token_ce import TokenCELoss as TokenCELoss
from ._token_ce import next_token_ce as next_token_ce
from ._topk_kl import TopKKLLoss as TopKKLLoss
from ._topk_kl import top_k_kl as top_k_kl
from ._ttm import TTMLoss as TTMLoss
from ._ttm import WTTMLoss as WTTMLoss
from ._ttm import power_sum as power_sum
from ._ttm import transformed_divergence as transformed_divergence
from ._uld import ULDLoss as ULDLoss
from ._uld import sorted_distance as sorted_distance
from ._uskd import USKDLoss as USKDLoss
from ._uskd import soft_others as soft_others
from ._vid import VIDLoss as VIDLoss
from ._vid import gaussian_surprise as gaussian_surprise
from ._vkd import VKDLoss as VKDLoss
from ._vkd import normalised_teacher as normalised_teacher
from ._wkdf import WKDFLoss as WKDFLoss
from ._wkdf import gaussian_wasserstein as gaussian_wasserstein
from ._wkdl import WKDLLoss as WKDLLoss
from ._wkdl import cka_cost as cka_cost
from ._wkdl import cosine_cost as cosine_cost
from ._wkdl import transport_cost as transport_cost
from ._wsld import WSLDLoss as WSLDLoss
from ._wsld import soft_label_weights as soft_label_weights
