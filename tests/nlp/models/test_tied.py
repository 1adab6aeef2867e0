"""Tied weights are stored once, in the student and in every checkpoint, and come back under all their names."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from distill_core.data import Loader, TensorData
from distill_core.experiment import Experiment, Stage, Term
from distill_core.losses import TokenCELoss
from distill_core.train import Callback, Checkpoint, Trainer
from distill_core.weights import load_weights, read_weights, save_weights

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"


class Stop(Callback):
    def on_step_end(self, run):
        if run.state.step == 3:
            run.save()
            raise KeyboardInterrupt


def train(model, output, *, callbacks=(), resume=False):
    tokens = torch.randint(3, 97, (8, 6), generator=torch.Generator().manual_seed(0))
    term = Term(loss=TokenCELoss(), inputs={"student": "student:out.logits", "target": "batch.target"})
    stage = Stage(
        epochs=2,
        losses={"ce": term},
        optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.01),
        feed={"student": {"input_ids": "batch.input_ids"}},
    )
    data = Loader(TensorData({"input_ids": tokens, "target": tokens.roll(-1, 1)}), 2, shuffle=True)
    experiment = Experiment(
        models={"student": model}, data={"train": data}, stages=[stage], callbacks=[Checkpoint()],
        ema={"student": 0.5},
    )  # fmt: skip
    Trainer(experiment, output=output, callbacks=callbacks).fit(resume=resume)


def names_in(file):
    with safe_open(file, "pt") as opened:
        return set(opened.keys())


def test_a_run_stores_tied_weights_once_and_resumes_exactly(tmp_path, decoder, family):
    tied = family != "llama"
    model = decoder(family, use_cache=False)
    train(model, tmp_path / "complete")
    for name in ("student", "student_ema"):
        file = tmp_path / "complete" / f"{name}.safetensors"
        assert ({HEAD, EMBEDDING} <= names_in(file)) is not tied
        assert read_weights(file).keys() == model.state_dict().keys()
    checkpoint = next((tmp_path / "complete" / "checkpoints").glob("step-*/*.safetensors"))
    stored = names_in(checkpoint)
    heads = {f"models.{name}.{HEAD}" for name in ("student", "student_ema")}
    assert (stored & heads == set()) if tied else (heads <= stored)
    expected = model.state_dict()

    with pytest.raises(KeyboardInterrupt):
        train(decoder(family, use_cache=False), tmp_path / "stopped", callbacks=[Stop()])
    resumed = decoder(family, use_cache=False)
    train(resumed, tmp_path / "stopped", resume=True)
    assert all(torch.equal(resumed.state_dict()[name], tensor) for name, tensor in expected.items())
    assert (resumed.lm_head.weight is resumed.model.embed_tokens.weight) is tied


def test_weights_are_loaded_into_tied_and_untied_models(tmp_path, decoder, family):
    model = decoder(family)
    file = tmp_path / "student.safetensors"
    save_weights(model, file)
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    assert file.stat().st_size < size + 10_000
    fresh = decoder(family)
    with torch.no_grad():
        [parameter.zero_() for parameter in fresh.parameters()]
    load_weights(fresh, file)
    assert all(torch.equal(fresh.state_dict()[name], tensor) for name, tensor in model.state_dict().items())
    untied = load_weights(decoder(family, tie_word_embeddings=False), file)
    assert torch.equal(untied.lm_head.weight, model.lm_head.weight)
    by_library = decoder(family)
    safetensors.torch.load_model(by_library, file)
    assert torch.equal(by_library.lm_head.weight, model.lm_head.weight)


def test_parts_of_one_tensor_are_stored_each(tmp_path):
    """Same memory, other elements: neither is the other."""
    both = torch.arange(6.0)
    layers = torch.nn.Module()
    for name, part in (
        ("first", both[:3]),
        ("second", both[3:]),
        ("matrix", both.view(2, 3)),
        ("turned", both.view(2, 3).T),
    ):
        layers.register_buffer(name, part)
    save_weights(layers, tmp_path / "a.safetensors")
    weights = read_weights(tmp_path / "a.safetensors")
    assert names_in(tmp_path / "a.safetensors") == set(layers.state_dict())
    assert all(torch.equal(weights[name], tensor) for name, tensor in layers.state_dict().items())
