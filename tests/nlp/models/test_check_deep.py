"""`distill check --deep` of models that transformers' own `from_pretrained` loads."""

from __future__ import annotations

from click.testing import CliRunner

from distill_core.cli._app import app
from distill_nlp.tokenizers import byte_level

FILE = """
models:
  student: !import_call_method:transformers.AutoModelForCausalLM.from_pretrained FOLDER
data:
  train: !import_call:distill_nlp.data.language_modelling
    {documents: [some text, more text], split: all, tokenizer: TOKENIZER, batch_size: 2, block: 8, positions: true}
stages:
  - epochs: 1
    optimizer: !import_partial:torch.optim.SGD {lr: 0.1}
    feed: {student: {input_ids: batch.input_ids, position_ids: batch.position_ids}}
    losses:
      ce: {loss: !import_call:TokenCELoss {}, inputs: {student: student:out.logits, target: batch.target}}
"""


def test_transformers_own_call_is_read_and_its_cache_refused(decoder_folder, family, tmp_path):
    byte_level(["some text"]).save_pretrained(tmp_path / "tokenizer")
    folder = decoder_folder(family, vocab_size=300)
    file = tmp_path / "a.yaml"
    text = FILE.replace("TOKENIZER", str(tmp_path / "tokenizer"))
    file.write_text(text.replace("FOLDER", f"{{pretrained_model_name_or_path: {folder}, use_cache: false}}"))
    ended = CliRunner().invoke(app, ["check", str(file), "--deep"])
    assert ended.exit_code == 0, ended.output
    file.write_text(text.replace("FOLDER", f"{{pretrained_model_name_or_path: {folder}}}"))
    ended = CliRunner().invoke(app, ["check", str(file), "--deep"])
    assert "cannot isolate the documents of a packed block: its config has use_cache: true" in ended.output
    assert ended.exit_code == 2
