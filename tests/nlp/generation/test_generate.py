"""Text generation: greedy decoding, sampling with a generator, prompts of any length."""

from __future__ import annotations

import pytest
import torch

from distill_core.errors import DistillError
from distill_nlp.generation import Generations, Sampling, generate
from distill_nlp.models import tiny_gpt2
from distill_nlp.tokenizers import byte_level


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(1)
    return tiny_gpt2(vocab_size=16, layers=2, width=16, heads=2, max_length=24)


PROMPTS, LENGTHS = torch.tensor([[3, 1, 4, 0], [5, 0, 0, 0], [2, 7, 1, 8]]), torch.tensor([3, 1, 4])


def step_by_step(model, prompt, count):
    tokens = prompt.tolist()
    for _ in range(count):
        tokens.append(int(model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(prompt) :]


def test_greedy_decoding_is_the_most_probable_token_at_each_step(model):
    model.eval()
    written, counts = generate(model, PROMPTS, LENGTHS, Sampling(max_new_tokens=8, temperature=0.0))
    expected = [step_by_step(model, row[:length], 8) for row, length in zip(PROMPTS, LENGTHS, strict=True)]
    assert written.tolist() == expected
    assert counts.tolist() == [8, 8, 8]


def test_a_sample_ends_with_the_end_token(model):
    model.eval()
    free, _ = generate(model, PROMPTS, LENGTHS, Sampling(max_new_tokens=20, temperature=0.0))
    end = int(free[0, 3])
    written, counts = generate(model, PROMPTS, LENGTHS, Sampling(max_new_tokens=20, temperature=0.0), end=end)
    for row, first, count in zip(written.tolist(), free.tolist(), counts.tolist(), strict=True):
        expected = first.index(end) + 1 if end in first else 20
        assert count == expected
        assert row[:count] == first[:count]
        assert set(row[count:]) <= {end}


def test_generation_stops_early_and_restores_the_mode(model):
    with torch.no_grad():
        always = tiny_gpt2(vocab_size=16, layers=1, width=8, heads=1, max_length=64)
        always.lm_head.weight.zero_()
    always.train()
    written, counts = generate(always, PROMPTS, LENGTHS, Sampling(max_new_tokens=60, temperature=0.0), end=0)
    assert (written.shape, counts.tolist(), always.training) == ((3, 16), [1, 1, 1], True)


def test_sampling_follows_the_generator_and_the_distribution(model):
    model.eval()

    def drawn(seed, **options):
        chance = torch.Generator().manual_seed(seed)
        return generate(model, PROMPTS, LENGTHS, Sampling(max_new_tokens=6, **options), generator=chance)[0]

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.equal(drawn(0), drawn(1))
    assert torch.equal(drawn(0, top_k=1), drawn(0, temperature=0.0))
    assert torch.equal(drawn(0, top_p=1e-9), drawn(0, temperature=0.0))
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0]).expand(4000, 4)
    for sampling, allowed in (
        (Sampling(temperature=2.0), [1, 1, 1, 1]),
        (Sampling(top_k=2), [0, 0, 1, 1]),
        (Sampling(top_p=0.7), [0, 0, 1, 1]),
    ):
        chosen = sampling(logits, torch.Generator().manual_seed(0)).bincount(minlength=4) / 4000
        weights = (logits[0] / sampling.temperature).exp() * torch.tensor(allowed)
        torch.testing.assert_close(chosen, weights / weights.sum(), atol=0.03, rtol=0)


def test_generations_are_answers_for_a_metric(model):
    bpe = byte_level([], vocab_size=257)
    answers = Generations(model, bpe, max_new_tokens=5)
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]])
    assert answers(PROMPTS, mask).tolist() == [
        step_by_step(model.eval(), row[:n], 5) for row, n in zip(PROMPTS, LENGTHS, strict=True)
    ]
    assert not list(answers.parameters())


def test_invalid_settings_are_refused(model):
    with pytest.raises(DistillError) as failure:
        generate(model, PROMPTS, LENGTHS, Sampling(max_new_tokens=30))
    assert str(failure.value) == (
        "GPT2LMHeadModel has 24 positions, too few for a prompt of 4 tokens and 30 new ones\n"
        "  hint: reduce max_new_tokens or shorten the prompt"
    )
    for options, message in (
        ({"max_new_tokens": 0}, "`max_new_tokens` must be > 0, got 0"),
        ({"temperature": -1.0}, "`temperature` must be >= 0, got -1.0"),
        ({"top_k": 0}, "`top_k` must be > 0, got 0"),
        ({"top_p": 1.5}, "`top_p` must be >= 0 and <= 1, got 1.5"),
    ):
        with pytest.raises(ValueError) as refused:
            Sampling(**options)
        assert str(refused.value) == message
