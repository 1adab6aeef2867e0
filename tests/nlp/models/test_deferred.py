"""Models on the meta device that read their weights when a run starts are the models that `from_pretrained` loads."""

from __future__ import annotations

import functools

import pytest
import torch
import transformers
from torch import nn

from distill_core.errors import DistillError
from distill_core.train.parallel import read_deferred
from distill_core.weights import deferred
from distill_nlp.models import from_pretrained

SIZES = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
CPU = torch.device("cpu")


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("auto_class", "config"),
    [
        ("AutoModelForCausalLM", transformers.LlamaConfig),  # rotary frequencies are in no file
        ("AutoModelForSequenceClassification", transformers.BertConfig),  # nor are the positions
    ],
)
def test_a_deferred_model_equals_a_loaded_one(tmp_path, auto_class, config, tied):
    torch.manual_seed(0)
    given = config(**SIZES, tie_word_embeddings=tied)
    getattr(transformers, auto_class).from_config(given).save_pretrained(tmp_path, max_shard_size="10KB")
    build = functools.partial(from_pretrained, auto_class, tmp_path)
    model = deferred(build, tmp_path)
    assert all(parameter.is_meta for parameter in model.parameters())
    read_deferred({"student": model}, CPU)
    tokens = torch.randint(3, 30, (2, 7))
    assert torch.equal(model.eval()(input_ids=tokens).logits, build().eval()(input_ids=tokens).logits)
    if auto_class == "AutoModelForCausalLM":
        assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.register_buffer("positions", torch.arange(2), persistent=False)


def test_files_that_do_not_fit_are_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(DistillError, match=r"weight is \(3,\) in the file and \(2,\) in the model"):
        read_deferred({"student": deferred(functools.partial(nn.PReLU, 2), tmp_path)}, CPU)
    with pytest.raises(DistillError, match="the non-persistent buffer 'positions', which no file of weights holds"):
        read_deferred({"student": deferred(Positions, tmp_path)}, CPU)
    with pytest.raises(DistillError, match="holds none of"):
        read_deferred({"student": deferred(functools.partial(nn.PReLU, 2), tmp_path / "..")}, CPU)
