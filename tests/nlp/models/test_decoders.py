"""The small decoders of the tests have what published checkpoints have."""

from __future__ import annotations

import torch

from distill_nlp.models import from_pretrained


def test_decoders_have_a_cache_shards_and_no_padding_token(family, decoder, decoder_folder):
    folder = decoder_folder(family)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    model = decoder(family)
    assert model.config.use_cache is True
    assert model.config.pad_token_id is None
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied is (family != "llama")


def test_a_sharded_folder_loads_to_equal_logits(family, decoder, decoder_folder):
    tokens = torch.arange(10)[None]
    model = from_pretrained("AutoModelForCausalLM", decoder_folder(family)).eval()
    assert torch.equal(model(tokens).logits, decoder(family)(tokens).logits)
