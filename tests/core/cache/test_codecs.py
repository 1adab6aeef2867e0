"""Codecs: how exact they are, what they give, that sampling is unbiased."""

from __future__ import annotations

import pytest
import torch

from distill_core.cache import Format, codec_named
from distill_core.errors import DataError

SEEDS = torch.arange(5)


def there_and_back(name, values, dtype=None):
    codec = codec_named(name)
    return codec.decode(codec.encode(values, SEEDS[: len(values)]), dtype or values.dtype)


@pytest.mark.parametrize(("name", "relative"), [("float32", 0.0), ("float16", 2**-11), ("bfloat16", 2**-8)])
@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 4, 4)])
def test_floating_point_is_rounded_once(name, relative, shape):
    values = torch.randn(shape)
    found = there_and_back(name, values)
    assert found.dtype == torch.float32
    assert ((found - values).abs() <= relative * values.abs()).all()
    assert torch.equal(found, values) == (relative == 0)


def test_int8_is_right_to_half_a_step_of_each_row():
    values = torch.randn(5, 3, 4) * torch.tensor([1e-6, 1.0, 1e6, 0.0, 3.0])[:, None, None]
    step = values.flatten(1).abs().amax(1) / 127
    assert ((there_and_back("int8", values) - values).abs() <= 0.5001 * step[:, None, None]).all()


def test_top_k_is_the_greatest_and_the_tail_is_what_is_left():
    values = torch.randn(5, 2, 9)
    found = there_and_back("topk-3", values)
    expected = values.log_softmax(-1).sort(-1, descending=True)
    torch.testing.assert_close(found["log_probs"], expected.values[..., :3])
    assert torch.equal(found["index"], expected.indices[..., :3])
    tail = 1 - found["log_probs"].exp().sum(-1)
    torch.testing.assert_close(tail, expected.values[..., 3:].exp().sum(-1))
    assert there_and_back("topk-20", values)["index"].shape == (5, 2, 9)


def test_sampling_is_unbiased_and_follows_from_the_seed():
    codec = codec_named("sampled-4")
    logits = torch.randn(1, 6).repeat(20_000, 1)
    parts = codec.decode(codec.encode(logits, torch.arange(20_000)), torch.float64)
    estimate = torch.zeros(20_000, 6, dtype=torch.float64).scatter_add_(1, parts["index"], parts["weights"])
    assert torch.equal(estimate.sum(1), torch.ones(20_000, dtype=torch.float64))
    error = estimate.mean(0) - logits[0].double().softmax(0)
    assert error.abs().max() < 4 * (estimate.std(0) / 20_000**0.5).max()
    again = codec.encode(logits[7:9], torch.tensor([7, 8]))["index"]
    assert torch.equal(again.long(), parts["index"][7:9])


@pytest.mark.parametrize("shape", [(300, 6), (300, 2, 6)])
def test_sampled_rows_differ(shape):
    index = codec_named("sampled-4").encode(torch.zeros(shape), torch.arange(300))["index"]
    assert len(index.reshape(-1, 4).unique(dim=0)) > 1


@pytest.mark.parametrize("name", ["float8", "topk-0", "topk-", "sampled-x", "top-8"])
def test_an_unknown_codec_is_refused(name):
    with pytest.raises(DataError, match=f"^there is no codec '{name}'"):
        codec_named(name)


def test_structures_types_and_layouts_come_back():
    maps = torch.randn(5, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    values = {"": {"logits": torch.randn(5, 7).half(), "none": None}, "fc": [torch.arange(5), maps]}
    form = Format.of(values, 5, codec_named("float32"))
    parts = form.encode(values, SEEDS)
    again = Format.from_text(form.to_text(), form.codec).decode(
        {name: part.contiguous() for name, part in parts.items()}
    )
    assert torch.equal(again[""]["logits"], values[""]["logits"])
    assert again[""]["logits"].dtype == torch.float16
    assert torch.equal(again["fc"][0], torch.arange(5))
    assert torch.equal(again["fc"][1], maps)
    assert again["fc"][1].stride() == maps.stride()


WRONG = [
    (torch.zeros(3, 2), "'fc' cannot be cached: it is (3, 2) for 5 samples, and a cache holds one row per sample"),
    (torch.tensor(1.0), "'fc' cannot be cached: it is () for 5 samples, and a cache holds one row per sample"),
    ("text", "'fc' cannot be cached: it is of type str, not a tensor"),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_what_is_not_one_row_a_sample_is_refused(value, message):
    with pytest.raises(DataError) as failure:
        Format.of({"fc": value}, 5, codec_named("float32"))
    assert str(failure.value) == message
