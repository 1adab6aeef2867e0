from __future__ import annotations

import json

import pytest
import torch

from distill_core.errors import DistillError
from distill_nlp.models import from_pretrained, tiny_bert

CLASSES = "AutoModelForSequenceClassification"
IDS = torch.tensor([[2, 5, 6, 3]])


@pytest.fixture
def folder(tmp_path):
    tiny_bert(vocab_size=20, layers=2, width=8, num_labels=3).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_model_is_loaded(folder):
    saved = tiny_bert(vocab_size=20, layers=2, width=8, num_labels=3).eval()
    saved.save_pretrained(folder)
    model = from_pretrained(CLASSES, folder).eval()
    assert torch.equal(model(IDS).logits, saved(IDS).logits)
    assert model.config.num_labels == 3
    assert model(IDS).hidden_states is None


def test_hidden_states_and_attentions_are_optional(folder):
    output = from_pretrained(CLASSES, folder, hidden_states=True, attentions=True).eval()(IDS)
    assert [state.shape for state in output.hidden_states] == [(1, 4, 8)] * 3
    assert [attention.shape for attention in output.attentions] == [(1, 2, 4, 4)] * 2
    assert torch.allclose(output.attentions[0].sum(-1), torch.ones(()))


def test_a_new_head_has_the_requested_width(folder):
    assert from_pretrained(CLASSES, folder, num_labels=5, new_head=True)(IDS).logits.shape == (1, 5)


def test_dtype(folder):
    model = from_pretrained("AutoModel", folder, dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_on_the_meta_device_no_weights_are_read(folder):
    (folder / "model.safetensors").unlink()
    with torch.device("meta"):
        model = from_pretrained(CLASSES, folder, attentions=True)
    assert all(parameter.is_meta for parameter in model.parameters())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            CLASSES,
            {"attentions": True, "attn_implementation": "sdpa"},
            "attn_implementation 'sdpa' does not return attentions\n"
            "  hint: omit it with attentions: true, or set it to 'eager'",
        ),
        (
            "AutoModelForSequenceClasification",
            {},
            f"transformers has no 'AutoModelForSequenceClasification'\n  hint: did you mean '{CLASSES}'?",
        ),
        (
            "AutoModel",
            {"name_or_path": "someone/no-such-model"},
            "the model 'someone/no-such-model' does not exist locally and could not be downloaded\n"
            "  hint: give a folder with config.json and model.safetensors",
        ),
    ],
)
def test_invalid_options_are_refused(folder, name, options, message):
    with pytest.raises(DistillError) as caught:
        from_pretrained(name, **{"name_or_path": folder, **options})
    assert str(caught.value) == message


def test_pickled_weights_are_not_read(folder):
    weights = {name: tensor.clone() for name, tensor in from_pretrained(CLASSES, folder).state_dict().items()}
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DistillError) as caught:
        from_pretrained(CLASSES, folder)
    assert str(caught.value) == (
        f"{folder} has no safetensors\n  hint: load the model in a trusted environment and call save_pretrained again"
    )


def test_code_in_the_folder_is_not_run(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", CLASSES: "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    with pytest.raises(DistillError):
        from_pretrained(CLASSES, folder)
    assert not (tmp_path / "ran").exists()


def test_a_subset_of_the_layers_is_loaded(folder):
    whole, part = from_pretrained(CLASSES, folder), from_pretrained(CLASSES, folder, layers=[-1])
    assert part.config.num_hidden_layers == 1
    theirs, ours = whole.bert.encoder.layer[1].state_dict(), part.bert.encoder.layer[0].state_dict()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in ours.items())
    with torch.device("meta"):
        assert from_pretrained(CLASSES, folder, layers=[0], width=4).config.hidden_size == 4


def test_a_model_with_a_different_vocabulary_is_refused(folder):
    from distill_nlp.tokenizers import wordpiece

    own, other = wordpiece(["a cat sat"] * 2), wordpiece(["a dog lay"] * 2)
    own.save_pretrained(folder)
    assert from_pretrained(CLASSES, folder, tokenizer=own).config.num_labels == 3
    with pytest.raises(DistillError) as caught:
        from_pretrained(CLASSES, folder, tokenizer=other)
    assert str(caught.value) == (
        f"'{folder}' has a different vocabulary than the data: its tokenizer has {len(own)} tokens, `tokenizer` has {len(other)}\n"
        "  hint: tokenise the data for both, `tokenizers: {teacher: …}`, and feed batch.teacher_input_ids"
    )


@pytest.mark.parametrize("saved", ["float32", "bfloat16"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("layers", [None, [1]])
def test_dtype_does_not_depend_on_that_of_the_folder_with_and_without_weights(
    decoder, family, tmp_path, saved, dtype, layers
):
    decoder(family).to(getattr(torch, saved)).save_pretrained(tmp_path)
    for device in ("cpu", "meta"):
        with torch.device(device):
            model = from_pretrained("AutoModelForCausalLM", tmp_path, dtype=dtype, layers=layers)
        assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}, device
        frequencies = {buffer.dtype for name, buffer in model.named_buffers() if "inv_freq" in name}
        assert frequencies == {torch.float32}
