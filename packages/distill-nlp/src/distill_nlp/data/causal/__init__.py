"""Data of causal language models: running text, completions and conversations, padded or packed."""

from ._answers import answer_text as answer_text
from ._causal_tokens import causal_tokenizer as causal_tokenizer
from ._causal_tokens import prompt_tokens as prompt_tokens
from ._causal_tokens import start_tokens as start_tokens
from ._causal_tokens import tokens_of as tokens_of
from ._completions import completions as completions
from ._conversations import conversations as conversations
from ._language_modelling import language_modelling as language_modelling
from ._packed import PackedSamples as PackedSamples
from ._packed import PackedTokens as PackedTokens
from ._samples import CausalCollate as CausalCollate
from ._samples import TokenSequences as TokenSequences
