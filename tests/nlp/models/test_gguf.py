"""GGUF files as teachers, and runs that would not be able to save their student."""

from __future__ import annotations

import pytest
import torch
import transformers

from distill_core.errors import DistillError
from distill_nlp.models import SavePretrained, from_pretrained, student_from


def run_of(model, output):
    return type("Run", (), {"models": {"student": model}, "weights": {}, "output": output})()


def test_a_file_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").touch()
    monkeypatch.setattr("distill_nlp.models._gguf.find_spec", lambda name: name)
    with pytest.raises(DistillError) as caught:
        from_pretrained("AutoModelForCausalLM", tmp_path, gguf_file="b.gguf")
    assert str(caught.value) == f"{tmp_path} has no 'b.gguf'; its GGUF files: a.gguf"


def test_without_the_package_the_hint_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("distill_nlp.models._gguf.find_spec", lambda name: None)
    with pytest.raises(DistillError, match=r"requires the package gguf.*\n  hint: pip install gguf"):
        from_pretrained("AutoModelForCausalLM", tmp_path, gguf_file="b.gguf")


def test_a_student_has_no_quantization(decoder, family, tmp_path):
    teacher = decoder(family)
    teacher.config.quantization_config = {"quant_method": "gguf", "dequantize": True}
    student = student_from(teacher, [0])
    assert not hasattr(student.config, "quantization_config")
    assert teacher.config.quantization_config["quant_method"] == "gguf"
    student.save_pretrained(tmp_path)
    assert torch.equal(
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path).lm_head.weight, teacher.lm_head.weight
    )


def test_a_teacher_with_packed_weights_is_refused(decoder):
    teacher = decoder("llama")
    packed = teacher.model.layers[0].mlp.up_proj.weight.detach().to(torch.uint8)
    teacher.model.layers[0].mlp.up_proj.weight = torch.nn.Parameter(packed, requires_grad=False)
    with pytest.raises(DistillError, match=r"quantized: 'model.layers.0.mlp.up_proj.weight' is not of a floating"):
        student_from(teacher, [0])


def test_a_model_that_cannot_be_saved_is_refused_at_the_start(decoder, tmp_path):
    from transformers.quantizers.quantizer_gguf import GgufHfQuantizer

    model = decoder("llama")
    SavePretrained().on_fit_start(run_of(model, tmp_path))
    model.hf_quantizer = GgufHfQuantizer(transformers.GgufConfig())
    model.is_quantized = True
    with pytest.raises(DistillError) as caught:
        SavePretrained().on_fit_start(run_of(model, tmp_path))
    assert str(caught.value).startswith("SavePretrained: 'student' cannot be saved: The model is quantized with ")
    assert str(caught.value).endswith("\n  hint: load it without quantization")


def test_invalid_settings_of_generation_are_refused_at_the_start(decoder, tmp_path):
    model = decoder("qwen3")
    model.generation_config.max_new_tokens = -1
    with pytest.raises(DistillError, match="'student' cannot be saved"):
        SavePretrained().on_fit_start(run_of(model, tmp_path))
