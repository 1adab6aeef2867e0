"""Several end tokens: each ends a generated text, as in transformers' own `generate`."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from distill_nlp.generation import Generations, OnPolicy, Sampling, end_tokens, generate, write_completions
from distill_nlp.tokenizers import byte_level

TEXTS = ["a girl is styling her hair", "the film", "a man plays a large flute"]
SMALL = {"vocab_size": 300, "max_position_embeddings": 64, "hidden_size": 16, "num_attention_heads": 2}
CONFIGS = {
    "gpt2": transformers.GPT2Config(vocab_size=300, n_embd=16, n_layer=1, n_head=2, n_positions=64),
    "llama": transformers.LlamaConfig(**SMALL, num_hidden_layers=1, intermediate_size=16, num_key_value_heads=1),
    "qwen2": transformers.Qwen2Config(**SMALL, num_hidden_layers=1, intermediate_size=16, num_key_value_heads=1),
}
NEW = 12
GREEDY = Sampling(max_new_tokens=NEW, temperature=0.0)


@pytest.fixture
def bpe():
    return byte_level(TEXTS * 2, vocab_size=290)


@pytest.fixture(params=CONFIGS)
def model(request):
    torch.manual_seed(1)
    made = AutoModelForCausalLM.from_config(CONFIGS[request.param], attn_implementation="eager").eval()
    for parameter in made.parameters():  # tiny random models repeat one token unless their weights are large
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def prompts_of(bpe):
    rows = [torch.tensor(bpe(text).input_ids) for text in TEXTS]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(row) for row in rows])


def with_ends(model, bpe, num_tokens=None):
    """Set two tokens that the model generates as the end tokens of its `generation_config`."""
    written, _ = generate(model, *prompts_of(bpe), GREEDY, num_tokens=num_tokens)
    ends = list(dict.fromkeys([int(written[0, 4]), int(written[1, 2])]))
    model.generation_config.eos_token_id = ends
    return ends


def test_each_end_token_ends_an_answer_as_in_transformers(model, bpe):
    ends = with_ends(model, bpe)
    assert end_tokens(model, bpe) == tuple(dict.fromkeys([bpe.eos_token_id, *ends]))
    written, counts = generate(model, *prompts_of(bpe), GREEDY, end=end_tokens(model, bpe))
    for row, text in enumerate(TEXTS):
        prompt = torch.tensor([bpe(text).input_ids])
        options = {"max_new_tokens": NEW, "do_sample": False, "pad_token_id": bpe.pad_token_id}
        expected = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), eos_token_id=list(end_tokens(model, bpe)), **options
        )[0, prompt.shape[1] :]
        assert written[row, : counts[row]].tolist() == expected.tolist()
        assert (written[row, counts[row] :] == bpe.eos_token_id).all()
    assert (counts < NEW).sum() >= 2


def test_on_policy_text_metrics_and_datasets_end_there_too(model, bpe, tmp_path):
    ends = with_ends(model, bpe, len(bpe))  # the others of the 300 logits are padding
    prompts, lengths = prompts_of(bpe)
    mask = torch.arange(prompts.shape[1]) >= lengths[:, None] - 1
    expected, counts = generate(model, prompts, lengths, GREEDY, end=end_tokens(model, bpe), num_tokens=len(bpe))
    rollout = OnPolicy(model.train(), bpe, fraction=1.0, max_new_tokens=NEW, temperature=0.0)
    batch = rollout(prompts, torch.where(mask, prompts, -100), mask)
    assert batch["mask"].sum(1).tolist() == counts.tolist()
    answers = Generations(model, bpe, max_new_tokens=NEW)(prompts, mask)
    for row, count in enumerate(counts.tolist()):
        last = expected[row, count - 1].item()
        assert batch["target"][row][batch["mask"][row]].tolist() == expected[row, :count].tolist()
        assert answers[row, count - 1] == (bpe.eos_token_id if last in ends else last)
    path = write_completions(model, TEXTS, tmp_path / "a.jsonl", tokenizer=bpe, sampling=GREEDY)
    rows = [json.loads(line) for line in path.read_text().split("\n") if line]
    for row, count in enumerate(counts.tolist()):
        tokens = expected[row, :count].tolist()
        answer = tokens[:-1] if tokens[-1] in ends else tokens
        assert rows[row]["completion"] == bpe.decode(answer, skip_special_tokens=True)


def test_the_default_end_token_of_a_class_does_not_end_a_text(bpe):
    model = AutoModelForCausalLM.from_config(CONFIGS["llama"])
    assert model.generation_config.eos_token_id == 2  # a letter of this tokenizer
    assert end_tokens(model, bpe) == (bpe.eos_token_id,)
    model.generation_config.eos_token_id = 7
    assert end_tokens(model, bpe) == (bpe.eos_token_id, 7)
