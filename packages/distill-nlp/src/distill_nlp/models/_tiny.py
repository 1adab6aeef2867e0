"""Small, randomly initialised models."""

from __future__ import annotations

from torch import nn

from ._outputs import output_options


def tiny_bert(
    *,
    vocab_size: int,
    num_labels: int = 2,
    layers: int = 2,
    width: int = 128,
    heads: int = 2,
    intermediate: int | None = None,
    max_length: int = 128,
    dropout: float = 0.1,
    pad_token_id: int = 0,
    hidden_states: bool = False,
    attentions: bool = False,
) -> nn.Module:
    """Build a `BertForSequenceClassification`, by default with the size of BERT-Tiny.

    Args:
        vocab_size: Size of the vocabulary, at least that of the tokenizer.
        num_labels: Number of classes, 1 for scores.
        layers: Number of transformer layers.
        width: The width of the hidden states.
        heads: Number of attention heads.
        intermediate: The width of the feed-forward layers. Defaults to four times `width`.
        max_length: Maximum number of tokens.
        dropout: Dropout probability of hidden states and attentions.
        pad_token_id: The tokenizer's padding token.
        hidden_states: Return the hidden states of all layers too.
        attentions: Return the attentions of all layers too.
    """
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=vocab_size,
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=intermediate or 4 * width,
        max_position_embeddings=max_length,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        pad_token_id=pad_token_id,
        **output_options(hidden_states=hidden_states, attentions=attentions, attn_implementation=None),
    )
    config.num_labels = num_labels
    model: nn.Module = BertForSequenceClassification(config)
    return model


def tiny_gpt2(
    *,
    vocab_size: int,
    layers: int = 2,
    width: int = 128,
    heads: int = 2,
    max_length: int = 128,
    dropout: float = 0.0,
    hidden_states: bool = False,
    attentions: bool = False,
) -> nn.Module:
    """Build a `GPT2LMHeadModel`.

    Args:
        vocab_size: Size of the vocabulary, at least that of the tokenizer.
        layers: Number of transformer layers.
        width: The width of the hidden states.
        heads: Number of attention heads.
        max_length: Maximum number of tokens.
        dropout: Dropout probability of embeddings, hidden states and attentions.
        hidden_states: Return the hidden states of all layers too.
        attentions: Return the attentions of all layers too.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=vocab_size,
        n_layer=layers,
        n_embd=width,
        n_head=heads,
        n_positions=max_length,
        embd_pdrop=dropout,
        resid_pdrop=dropout,
        attn_pdrop=dropout,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
        **output_options(hidden_states=hidden_states, attentions=attentions, attn_implementation=None),
    )
    model: nn.Module = GPT2LMHeadModel(config)
    return model
