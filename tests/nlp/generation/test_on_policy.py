"""On-policy text replaces the data: targets, frequency, and exact resume."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from distill_core.losses import GeneralisedJSDLoss, TokenCELoss
from distill_core.train import Callback, Checkpoint, Evaluate, Experiment, Metric, Stage, Term, Trainer
from distill_nlp.data import language_modelling
from distill_nlp.generation import OnPolicy, Sampling, generate, prompt_lengths
from distill_nlp.metrics import Perplexity
from distill_nlp.models import tiny_gpt2
from distill_nlp.tokenizers import byte_level

TEXTS = [f"the {a} {b} and the {b} {a}" for a in ("red", "blue", "old") for b in ("cat", "dog", "bird", "fish")]


@pytest.fixture(scope="module")
def bpe():
    return byte_level(TEXTS, vocab_size=270)


def reduction_scope_of(lengths, width=10):
    inputs = torch.randint(1, 250, (len(lengths), width))
    mask = torch.arange(width) >= torch.tensor(lengths)[:, None] - 1
    return {"input_ids": inputs, "target": torch.where(mask, inputs.roll(-1, 1), -100), "mask": mask}


def model_of(width=16):
    return tiny_gpt2(vocab_size=270, layers=1, width=width, heads=2, max_length=32)


def test_prompts_are_kept_and_generated_tokens_are_targets(bpe):
    student, batch = model_of(), reduction_scope_of([3, 1, 5])
    rollout = OnPolicy(student, bpe, fraction=1.0, max_new_tokens=6)
    torch.manual_seed(7)
    made = rollout(**batch)
    lengths = prompt_lengths(batch["mask"])
    assert lengths.tolist() == [3, 1, 5]
    for row, length in enumerate(lengths.tolist()):
        tokens, target, mask = (made[name][row] for name in ("input_ids", "target", "mask"))
        assert tokens[:length].tolist() == batch["input_ids"][row, :length].tolist()
        written = target[mask].tolist()
        assert mask.nonzero().flatten().tolist() == list(range(length - 1, length - 1 + len(written)))
        assert tokens[length : length + len(written) - 1].tolist() == written[:-1]
        assert len(written) == 6 or written[-1] == bpe.eos_token_id
        assert (target[~mask] == -100).all()
    assert not made["data_mask"].any()
    assert student.training


def test_greedy_on_policy_text_equals_greedy_decoding(bpe):
    student, batch = model_of(), reduction_scope_of([4, 4])
    made = OnPolicy(student, bpe, fraction=1.0, max_new_tokens=5, temperature=0.0)(**batch)
    written, counts = generate(
        student, batch["input_ids"], torch.tensor([4, 4]), Sampling(max_new_tokens=5, temperature=0.0), end=0
    )
    assert made["target"][made["mask"]].tolist() == [
        t for row, n in zip(written, counts, strict=True) for t in row[:n].tolist()
    ]


def test_continuous_text_has_prompts_of_a_given_length(bpe):
    made = OnPolicy(model_of(), bpe, fraction=1.0, prompt_tokens=6, max_new_tokens=4)(**reduction_scope_of([1, 1]))
    assert made["mask"].int().argmax(1).tolist() == [5, 5]


def test_data_are_unchanged_in_evaluation_and_for_the_other_batches(bpe):
    batch = reduction_scope_of([3, 2])
    for rollout in (OnPolicy(model_of().eval(), bpe, fraction=1.0), OnPolicy(model_of(), bpe, fraction=0.0)):
        made = rollout(**batch)
        assert all(made[name] is batch[name] for name in batch)
        assert made["data_mask"] is batch["mask"]


def test_the_fraction_of_batches_is_lambda_and_depends_on_the_seed(bpe):
    rollout = OnPolicy(model_of(8), bpe, fraction=0.3, max_new_tokens=1)
    batch = reduction_scope_of([2], width=3)

    def own(seed):
        torch.manual_seed(seed)
        torch.rand(seed % 3)  # earlier random numbers do not matter
        return not rollout(**batch)["data_mask"].any()

    chosen = [own(seed) for seed in range(200)]
    assert chosen == [own(seed) for seed in range(200)]
    assert 35 <= sum(chosen) <= 85


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.state.step == self.step:
            trainer.save()
            raise KeyboardInterrupt


def run(bpe, folder, stop=0, *, resume=False):
    torch.manual_seed(0)
    teacher, student = model_of(), model_of(8)
    rollout = OnPolicy(student, bpe, fraction=0.5, prompt_tokens=4, max_new_tokens=6)
    names = {"student": "student:out.logits", "mask": "rollout:out.mask"}
    stage = Stage(
        epochs=2,
        optimizer=partial(torch.optim.SGD, lr=0.5),
        feed={
            "rollout": {name: f"batch.{name}" for name in ("input_ids", "target", "mask")},
            "teacher": {"input_ids": "rollout:out.input_ids"},
            "student": {"input_ids": "rollout:out.input_ids"},
        },
        losses={
            "ce": Term(
                loss=TokenCELoss(),
                inputs={
                    "student": "student:out.logits", "target": "rollout:out.target", "mask": "rollout:out.data_mask",
                },
            ),
            "kd": Term(loss=GeneralisedJSDLoss(), inputs=names | {"teacher": "teacher:out.logits"}),
        },
    )  # fmt: skip
    data = language_modelling(TEXTS, "all", tokenizer=bpe, batch_size=3, block=10)
    metrics = {
        "perplexity": Metric(metric=Perplexity(), inputs={"preds": "student:out.logits", "target": "batch.target"})
    }
    experiment = Experiment(
        models={"rollout": rollout, "teacher": teacher, "student": student},
        data={"train": data},
        stages=[stage],
        callbacks=[Evaluate(data, metrics), Checkpoint(best="perplexity", mode="min")],
        log_every=1,
    )
    return Trainer(experiment, output=folder, callbacks=[Stop(stop)]).fit(resume=resume), student.state_dict()


def test_an_interrupted_run_ends_with_the_same_bits(bpe, tmp_path):
    results, weights = run(bpe, tmp_path / "whole")
    for stop in (1, 6):
        folder = tmp_path / f"stopped{stop}"
        with pytest.raises(KeyboardInterrupt):
            run(bpe, folder, stop)
        resumed, again = run(bpe, folder, resume=True)
        assert all(torch.equal(tensor, again[name]) for name, tensor in weights.items())
        assert resumed["last"] == results["last"]
    lines = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    own = [line for line in lines if '"ce": 0.0' in line]
    assert 0 < len(own) < len(lines) - 2
