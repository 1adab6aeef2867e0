"""Adapters are merged into a folder that transformers loads without PEFT, with the logits of the adapted model."""

from __future__ import annotations

import pytest
import torch
import transformers

from distill_core.errors import DistillError
from distill_core.export import export, merge_adapters
from distill_nlp.models import with_lora

from ..chat_tokenizers import chat_tokenizer, template

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # from PEFT


@pytest.fixture
def adapted(decoder, family):
    """Return a decoder with adapters that change its logits."""
    pytest.importorskip("peft")
    model = with_lora(decoder(family), rank=2, modules=["q_proj", "down_proj"], task="CAUSAL_LM").eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(torch.randn_like(parameter))
    return model


IDS = torch.arange(24).view(4, 6)


@torch.no_grad()
def test_the_folder_gives_the_logits_of_the_adapted_model(adapted, decoder, family, tmp_path):
    expected = adapted(IDS).logits
    assert not torch.allclose(expected, decoder(family)(IDS).logits, atol=1e-2)
    tokenizer = chat_tokenizer(chat_template=template())
    exported = export(adapted, {"input_ids": IDS}, tmp_path / "made", "transformers", tokenizer=tokenizer)
    again = transformers.AutoModelForCausalLM.from_pretrained(exported.file)
    assert type(again) is type(decoder(family))
    torch.testing.assert_close(again(IDS).logits, expected, rtol=1e-4, atol=1e-4)
    assert again.config.use_cache
    assert not list(exported.file.glob("adapter*"))
    assert transformers.AutoTokenizer.from_pretrained(exported.file).chat_template == tokenizer.chat_template
    torch.testing.assert_close(adapted(IDS).logits, expected)  # the model itself keeps its adapters
    assert any("lora_" in name for name in adapted.state_dict())


@torch.no_grad()
def test_other_formats_hold_the_merged_weights(adapted, tmp_path):
    export(adapted, {}, tmp_path / "made.safetensors", "safetensors")
    base = merge_adapters(adapted)
    from distill_core.weights import load_weights

    for parameter in base.parameters():
        parameter.zero_()
    load_weights(base, tmp_path / "made.safetensors")
    torch.testing.assert_close(base(IDS).logits, adapted(IDS).logits, rtol=1e-4, atol=1e-4)


def test_an_earlier_export_is_replaced_but_other_files_are_not(decoder, tmp_path):
    model, inputs = decoder("llama"), {"input_ids": IDS}
    for _ in range(2):
        export(model, inputs, tmp_path / "made", "transformers")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/letter.txt").touch()
    with pytest.raises(DistillError) as caught:
        export(model, inputs, tmp_path / "other", "transformers")
    assert str(caught.value) == (
        f"{tmp_path}/other exists and does not hold a model\n  hint: name an empty folder, or remove it"
    )
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["letter.txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "other"]


def test_adapters_that_cannot_be_merged_are_refused(adapted, decoder):
    peft = pytest.importorskip("peft")
    with torch.no_grad():
        next(p for n, p in adapted.named_parameters() if "lora_B" in n).fill_(float("nan"))
    with pytest.raises(DistillError, match="adapters of the kind LORA cannot be merged: NaNs detected"):
        merge_adapters(adapted)
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(DistillError, match="adapters of the kind PREFIX_TUNING cannot be merged into PeftModel"):
        merge_adapters(peft.get_peft_model(decoder("llama"), config))


def test_a_model_of_another_library_has_no_folder(tmp_path):
    with pytest.raises(DistillError) as caught:
        export(torch.nn.Linear(2, 2), {}, tmp_path / "made", "transformers")
    assert str(caught.value) == (
        "--format transformers needs a model of transformers, got Linear\n"
        "  hint: --format safetensors writes the weights of any model"
    )
