"""Documents of a packed block with positions: their logits are those of each document alone."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
import transformers
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from distill_core.errors import DataError
from distill_core.experiment import Experiment
from distill_nlp.data import PackedTokens, language_modelling
from distill_nlp.models import SavePretrained, from_pretrained, student_from, tiny_bert, tiny_gpt2
from distill_nlp.tokenizers import byte_level

FEED = {"input_ids": "input_ids", "position_ids": "position_ids"}
NUM_TOKENS = 97  # of the decoders
LENGTHS = (5, 9, 1, 7, 12, 6)  # of documents; blocks of 12 begin within documents too


@pytest.fixture
def packed():
    """Return the dataset of documents of several lengths in three blocks of 12."""
    generator = torch.Generator().manual_seed(0)
    documents = [torch.randint(3, NUM_TOKENS, (length,), generator=generator) for length in LENGTHS]
    return PackedTokens(documents, 12, 2, positions=True)


def batch_of(packed, count):
    """Return input tokens and positions of some blocks."""
    batch = packed.batch(torch.arange(count), torch.zeros(count))
    return batch["input_ids"], batch["position_ids"]


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("count", [1, 3])
def test_packed_logits_equal_those_of_each_document_alone(packed, decoder_folder, family, attention, training, count):
    folder = decoder_folder(family)
    model = from_pretrained("AutoModelForCausalLM", folder, attn_implementation=attention).train(training)
    assert model.config._attn_implementation == attention
    packed.check_model("student", model, FEED)
    assert all(module.training is training for module in model.modules())
    tokens, positions = batch_of(packed, count)
    logits = model(input_ids=tokens, position_ids=positions).logits
    num_documents = 0
    for row in range(count):
        starts = [*(positions[row] == 0).nonzero().flatten().tolist(), 12]
        for first, last in pairwise(starts):
            alone = model(input_ids=tokens[row : row + 1, first:last]).logits[0]
            torch.testing.assert_close(logits[row, first:last], alone, atol=1e-5, rtol=0)
            num_documents += 1
    assert num_documents > count


def test_a_student_of_some_layers_isolates_too(packed, decoder_folder, family):
    packed.check_model(
        "student", student_from(from_pretrained("AutoModelForCausalLM", decoder_folder(family)), [1]), FEED
    )


def test_gpt2_isolates(packed):
    packed.check_model("student", tiny_gpt2(vocab_size=97, layers=2, width=8, max_length=16), FEED)


def test_a_model_with_a_cache_is_refused(packed, decoder_folder, family):
    model = transformers.AutoModelForCausalLM.from_pretrained(decoder_folder(family))
    tokens, positions = batch_of(packed, 1)
    last = int(positions[0].argmin()) if int(positions[0, 0]) else int((positions[0] == 0).nonzero()[-1])
    alone = model(input_ids=tokens[:, last:]).logits
    assert (model(input_ids=tokens, position_ids=positions).logits[:, last:] - alone).abs().max() > 0.1  # it leaks
    with pytest.raises(DataError) as caught:
        packed.check_model("student", model, FEED)
    assert str(caught.value) == (
        f"student ({type(model).__name__}) cannot isolate the documents of a packed block: its config has use_cache: true\n"
        "  hint: load it with distill_nlp.models.from_pretrained, or pass `use_cache: false` to transformers' from_pretrained"
    )
    model.config.use_cache = False
    packed.check_model("student", model, FEED)


def test_a_model_without_weights_is_judged_by_its_config(decoder_folder, family):
    check = partial(
        language_modelling.check_model,
        (["text"],),
        {"tokenizer": byte_level(["text"]), "batch_size": 1, "positions": True, "block": 12},
    )
    folder = decoder_folder(family, vocab_size=300)
    with torch.device("meta"):
        config = transformers.AutoConfig.from_pretrained(folder)
        model = transformers.AutoModelForCausalLM.from_config(config)
        with pytest.raises(DataError, match="use_cache: true"):
            check("student", model, FEED)
        check("student", from_pretrained("AutoModelForCausalLM", folder), FEED)


def test_attention_without_a_mask_is_refused(packed, decoder, family, monkeypatch):
    model = decoder(family, use_cache=False)

    def unmasked(module, query, key, value, attention_mask, **options):
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, None, is_causal=True, **options)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "unmasked", unmasked)
    monkeypatch.setitem(
        transformers.masking_utils.ALL_MASK_ATTENTION_FUNCTIONS._global_mapping, "unmasked", lambda *a, **k: None
    )
    model.config._attn_implementation = "unmasked"
    with pytest.raises(DataError, match="it attends across documents although positions restart"):
        packed.check_model("student", model, FEED)


@pytest.mark.parametrize("implementation", ["flash_attention_2", "flash_attention_3", "kernels-community/flash-attn2"])
def test_flash_attention_is_refused(packed, decoder, implementation):
    model = decoder("llama", use_cache=False)
    model.config._attn_implementation = implementation
    with pytest.raises(DataError, match=f"'{implementation}' does so only for batches of one block"):
        packed.check_model("student", model, FEED)


def test_an_attention_mask_beside_positions_is_refused(packed, decoder):
    with pytest.raises(DataError, match="it is fed with `attention_mask` too"):
        packed.check_model("student", decoder("llama", use_cache=False), FEED | {"attention_mask": "mask"})


def test_an_encoder_is_refused(packed):
    model = transformers.BertForMaskedLM(tiny_bert(vocab_size=97, width=8).config)
    model.config.use_cache = False
    with pytest.raises(DataError, match="it attends across documents"):
        packed.check_model("student", model, FEED)


def test_without_positions_attention_may_cross(packed, decoder):
    packed.check_model("student", decoder("llama"), {"input_ids": "input_ids"})


def test_the_saved_student_generates_with_a_cache(decoder_folder, family, tmp_path):
    model = from_pretrained("AutoModelForCausalLM", decoder_folder(family))
    experiment = Experiment(models={"student": model}, data={}, stages=[])
    run = SimpleNamespace(experiment=experiment, models=experiment.models, weights={}, output=tmp_path)
    SavePretrained().on_fit_end(run, {})
    assert model.config.use_cache is False
    saved = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "student")
    assert saved.config.use_cache is True
    assert saved.generation_config.use_cache in (None, True)
