"""Losses between transformers on text: hidden states, attentions, relations, sentence embeddings.

They are built and documented like those of `distill_core.losses`, which contains the losses of logits (`KDLoss`; for
sequences `ForwardKLLoss`, `GeneralisedJSDLoss`, …). Hidden states, queries, keys and values are (batch, tokens, width).
`mask` is the batch's `attention_mask`: padding never counts, and means are over the tokens of all processes.
"""

from ._attention import attention_scores as attention_scores
from ._distilbert import HiddenCosineLoss as HiddenCosineLoss
from ._distilbert import hidden_cosine as hidden_cosine
from ._embeddings import SentenceEmbeddingLoss as SentenceEmbeddingLoss
from ._embeddings import mean_pooled as mean_pooled
from ._minilm import MiniLMLoss as MiniLMLoss
from ._minilm import attention_divergence as attention_divergence
from ._minilm import relation_divergence as relation_divergence
from ._minilm_v2 import MiniLMv2Loss as MiniLMv2Loss
from ._patient import PatientKDLoss as PatientKDLoss
from ._patient import normalised_distance as normalised_distance
from ._scores import ScoreLoss as ScoreLoss
from ._similarity import SimilarityLoss as SimilarityLoss
from ._tinybert import TinyBERTAttentionLoss as TinyBERTAttentionLoss
from ._tinybert import TinyBERTAttentionMapLoss as TinyBERTAttentionMapLoss
from ._tinybert import TinyBERTHiddenLoss as TinyBERTHiddenLoss
from ._tinybert import attention_mse as attention_mse
