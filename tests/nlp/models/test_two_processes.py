"""Decoders with `parallel: fsdp`: a sharded teacher counts as unchanged, and a sharded student is saved complete."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
import transformers

from distill_core.weights import read_weights

SCRIPT = Path(__file__).parent / "two_processes.py"


def test_sharded_decoders_train_and_are_saved(tmp_path, decoder):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(SCRIPT), str(tmp_path)]
    done = subprocess.run([sys.executable, *launch], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    for family in ("llama", "qwen3", "gemma3"):
        runs = {shard: tmp_path / f"{family}-{shard}" for shard in ("teacher", "student")}
        weights = {shard: read_weights(folder / "student.safetensors") for shard, folder in runs.items()}
        initial = decoder(family).state_dict()
        for shard, folder in runs.items():
            model = transformers.AutoModelForCausalLM.from_pretrained(folder / "student")
            assert type(model) is type(decoder(family))
            assert (model.lm_head.weight is model.model.embed_tokens.weight) is (family != "llama")
            for name, tensor in model.state_dict().items():
                assert torch.equal(tensor, weights[shard][name]), name
                torch.testing.assert_close(tensor, weights["teacher"][name], rtol=1e-4, atol=1e-5)
                assert not torch.equal(tensor, initial[name]) or tensor.numel() == 0, name
