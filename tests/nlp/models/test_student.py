from __future__ import annotations

import pytest
import torch

from distill_core.errors import DistillError
from distill_core.hooks import Capture
from distill_nlp.models import student_from, tiny_bert, tiny_gpt2

IDS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])


def test_with_all_layers_the_student_equals_the_teacher():
    teacher = tiny_bert(vocab_size=20, layers=3, width=8).eval()
    student = student_from(teacher, [0, 1, 2])
    assert torch.equal(student(IDS).logits, teacher(IDS).logits)
    with torch.no_grad():
        next(student.parameters()).zero_()
    assert not torch.equal(student(IDS).logits, teacher(IDS).logits)


def test_selected_layers_are_applied_in_order():
    teacher = tiny_bert(vocab_size=20, layers=6, width=8, hidden_states=True).eval()
    student = student_from(teacher, [0, 2, -1])
    layers = teacher.bert.encoder.layer
    hidden = student(IDS).hidden_states
    assert len(hidden) == 4
    for place, layer in enumerate((0, 2, 5)):
        torch.testing.assert_close(layers[layer](hidden[place]), hidden[place + 1])


def test_a_decoder_keeps_its_cache_in_order():
    teacher = tiny_gpt2(vocab_size=20, layers=4, width=8).eval()
    student = student_from(teacher, [1, 3])
    assert [block.attn.layer_idx for block in student.transformer.h] == [0, 1]
    assert student.lm_head.weight is student.transformer.wte.weight
    torch.testing.assert_close(student.transformer.h[1].mlp.c_fc.weight, teacher.transformer.h[3].mlp.c_fc.weight)


def test_a_narrower_student_has_the_first_heads():
    teacher = tiny_bert(vocab_size=20, layers=2, width=16, heads=4)
    student = student_from(teacher, [1], width=8)
    assert (student.config.hidden_size, student.config.num_attention_heads, student.config.intermediate_size) == (
        8,
        2,
        32,
    )
    ours, theirs = student.bert.encoder.layer[0], teacher.bert.encoder.layer[1]
    assert torch.equal(ours.attention.self.query.weight, theirs.attention.self.query.weight[:8, :8])
    assert torch.equal(ours.intermediate.dense.weight, theirs.intermediate.dense.weight[:32, :8])
    assert student(IDS).logits.shape == (2, 2)


def test_a_narrower_decoder_has_parts_of_queries_keys_and_values():
    teacher = tiny_gpt2(vocab_size=20, layers=2, width=16, heads=4)
    with torch.no_grad():
        for name, tensor in teacher.named_parameters():
            tensor.copy_(torch.randn_like(tensor)) if "ln" not in name else None
    student = student_from(teacher, [1], width=8)
    assert (student.config.hidden_size, student.config.num_attention_heads) == (8, 2)
    ours, theirs = student.transformer.h[0], teacher.transformer.h[1]
    for number in range(3):
        for name in ("weight", "bias"):
            small, large = (getattr(block.attn.c_attn, name).chunk(3, -1)[number] for block in (ours, theirs))
            assert torch.equal(small, large[..., :8] if name == "bias" else large[:8, :8])
    assert torch.equal(ours.mlp.c_fc.weight, theirs.mlp.c_fc.weight[:8, :32])
    assert student.lm_head.weight is student.transformer.wte.weight
    assert student(IDS).logits.shape == (2, 4, 20)


def tiny_neox(*, vocab_size, layers, width):
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=vocab_size,
            num_hidden_layers=layers,
            hidden_size=width,
            num_attention_heads=2,
            intermediate_size=9,
        )
    )


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (
            tiny_bert,
            {"layers": [0, 4, -3]},
            "`layers` of BertForSequenceClassification must be from 0 to 1, got [4, -3]",
        ),
        (tiny_bert, {"layers": []}, "`layers` of BertForSequenceClassification must be from 0 to 1, got an empty list"),
        (
            tiny_bert,
            {"layers": [0], "width": 6},
            "`width` must be a multiple of 4, the size of a head, up to 8, got 6",
        ),
        (
            tiny_neox,
            {"layers": [0], "width": 4},
            "GPTNeoXForCausalLM has queries, keys and values in one matrix and cannot be narrowed\n"
            "  hint: omit `width`",
        ),
    ],
)
def test_invalid_options_are_refused(model, options, message):
    with pytest.raises(DistillError) as caught:
        student_from(model(vocab_size=20, layers=2, width=8), **options)
    assert str(caught.value) == message


def test_a_model_without_layers_is_refused():
    with pytest.raises(DistillError) as caught:
        student_from(torch.nn.Linear(2, 2), [0])
    assert str(caught.value) == "Linear must have one module list of None layers, got 0"


def test_taps_reach_hidden_states_logits_and_queries():
    model = tiny_bert(vocab_size=20, layers=2, width=8, hidden_states=True).eval()
    taps = [":out.hidden_states.1", ":out.logits", "bert.encoder.layer.0", "bert.encoder.layer.-1.attention.self.query"]
    with Capture(model, taps) as seen:
        output = model(IDS)
        values = [seen[tap] for tap in taps]
    assert torch.equal(values[0], output.hidden_states[1])
    assert torch.equal(values[1], output.logits)
    assert torch.equal(values[2], output.hidden_states[1])
    assert values[3].shape == (2, 4, 8)
