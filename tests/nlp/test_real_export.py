"""A student of SmolLM2-135M-Instruct, trained for a step and exported: to transformers, with LoRA merged, and to GGUF."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill_core import cli
from distill_core.cli.runs._export import export_run
from distill_core.export import export
from distill_core.weights import load_weights
from distill_nlp.models import from_pretrained, student_from, with_lora

pytestmark = [
    pytest.mark.real,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning"),  # from PEFT
]
CHAT = [{"role": "user", "content": "Name a colour."}]
IDS = torch.arange(40).view(2, 20)
CONFIG = """
_folder: &folder {folder}/two
_two: &two !import_call:distill_nlp.models.from_pretrained {{auto_class: AutoModelForCausalLM, name_or_path: *folder}}
models: {{teacher: *two, student: !import_call:distill_nlp.models.student_from {{teacher: *two, layers: [0, 1]}}}}
data:
  train: !import_call:distill_nlp.data.conversations {{rows: {folder}/rows.jsonl, tokenizer: *folder, batch_size: 1}}
stages:
  - steps: 1
    train: [student]
    optimizer: !import_partial:torch.optim.SGD {{lr: 0.1}}
    feed: {{student: {{input_ids: batch.input_ids}}}}
    losses:
      ce: {{loss: !import_call:distill_core.losses.TokenCELoss {{}}, inputs: {{student: student:out.logits, target: batch.target}}}}
"""


@pytest.fixture(scope="module")
def student(smollm2):
    """Return a student of the first and the last layer."""
    return student_from(smollm2[0], [0, -1])


@pytest.fixture(scope="module")
def run(smollm2, student, tmp_path_factory):
    """Return the folder of a run of one step."""
    folder = tmp_path_factory.mktemp("smollm2")
    student.save_pretrained(folder / "two")
    smollm2[1].save_pretrained(folder / "two")
    row = '{"messages": [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue."}]}\n'
    (folder / "rows.jsonl").write_text(row * 2)
    (folder / "a.yaml").write_text(CONFIG.format(folder=folder))
    cli.run_experiment(folder / "a.yaml", [], output=folder / "run", quiet=True)
    return folder / "run"


@pytest.fixture(scope="module")
def trained(run, student):
    """Return the student with the weights of the run."""
    other = student_from(student, [0, 1])
    before = other.lm_head.weight.clone()
    load_weights(other, run / "student.safetensors")
    assert not torch.equal(other.lm_head.weight, before)
    return other.eval()


def answer(model, tokenizer) -> str:
    """Return the greedy answer of transformers' own `generate`."""
    ids = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, return_tensors="pt")["input_ids"]
    made = model.generate(ids, max_new_tokens=5, do_sample=False, pad_token_id=0)[0, ids.shape[1] :]
    return tokenizer.decode(made, skip_special_tokens=True)


def chatted(folder: Path) -> str:
    """Return the answer of a pipeline of transformers, which applies the chat template of the folder."""
    import transformers

    pipe = transformers.pipeline("text-generation", str(folder), device="cpu")
    *before, last = pipe(CHAT, max_new_tokens=5, do_sample=False)[0]["generated_text"]
    assert (before, last["role"]) == (CHAT, "assistant")
    return last["content"]


def test_a_pipeline_chats_with_the_exported_student(run, trained, smollm2):
    folder = export_run(run, format="transformers", license="apache-2.0")
    assert chatted(folder) == answer(trained, smollm2[1])
    assert (folder / "chat_template.jinja").read_text() == smollm2[1].chat_template
    assert 'license: "apache-2.0"' in (folder / "README.md").read_text()


@torch.no_grad()
def test_merged_adapters_chat_without_peft(student, smollm2, tmp_path):
    import transformers

    adapted = with_lora(student_from(student, [0, 1]), rank=2, modules=["q_proj", "down_proj"], task="CAUSAL_LM").eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.copy_(torch.randn_like(parameter))
    expected = adapted(IDS).logits
    assert (expected - student.eval()(IDS).logits).abs().max() > 1
    folder = export(adapted, {"input_ids": IDS}, tmp_path / "made", "transformers", tokenizer=smollm2[1]).file
    again = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert type(again) is type(student)
    torch.testing.assert_close(again(IDS).logits, expected, rtol=1e-3, atol=1e-3)
    assert chatted(folder) == answer(again, smollm2[1])


@torch.no_grad()
def test_a_gguf_file_has_the_weights_of_the_run(run, trained, tmp_path):
    """The converter stands for llama.cpp's; it is built on the same package."""
    converter = Path(__file__).with_name("gguf_converter.py")
    file = export_run(run, format="gguf", output=tmp_path / "student.gguf", converter=converter)
    again = from_pretrained("AutoModelForCausalLM", file.parent, gguf_file=file.name).eval()
    torch.testing.assert_close(again(IDS).logits, trained(IDS).logits, rtol=1e-4, atol=1e-4)
