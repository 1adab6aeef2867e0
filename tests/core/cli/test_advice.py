"""Errors of libraries reach the user without the advice to run the code of a file."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251  a hostile file
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from distill_core.cli._advice import INSTEAD, without_advice
from distill_core.cli._exit import guarded
from distill_core.errors import DistillError

UNSAFE = re.compile(
    r"weights_only\W+(set to )?\W*False|(trust_remote_code|allow_pickle)\W+(set to )?\W*True|safe_globals|import_allowlist=|`allow_pickle=`",
    re.IGNORECASE,
)


OTHER_VERSIONS = "DISTILL_LIST_WARNINGS" in os.environ
"""Whether the libraries are not those of the lock; theirs may advise less."""


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def torch_pickle():
    torch.save({"model": Bomb()}, "bomb.pt")
    torch.load("bomb.pt", weights_only=True)


def numpy_pickle():
    Path("bomb.npy").write_bytes(pickle.dumps(Bomb()))
    np.load("bomb.npy")


def numpy_objects():
    np.save("objects.npy", np.array([Bomb()], dtype=object))
    np.load("objects.npy")


def remote_code(trust):
    transformers = pytest.importorskip("transformers")
    Path("model").mkdir()
    Path("model/mine.py").write_text("open('ran', 'w')\n")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    Path("model/config.json").write_text(json.dumps(config))
    transformers.AutoConfig.from_pretrained("model", trust_remote_code=trust)


def remote_code_refused():
    remote_code(False)


def remote_code_not_answered():
    remote_code(None)


def timm_pickle():
    helpers = pytest.importorskip("timm").models._helpers
    torch.save({"model": Bomb()}, "bomb.pt")
    helpers.load_state_dict("bomb.pt")


def adapter_of_an_unknown_library():
    peft = pytest.importorskip("peft")
    Path("adapter").mkdir()
    mapping = {"base_model_class": "Mine", "parent_library": "mine"}
    content = {"peft_type": "LORA", "auto_mapping": mapping, "base_model_name_or_path": "base"}
    Path("adapter/adapter_config.json").write_text(json.dumps(content))
    peft.AutoPeftModel.from_pretrained("adapter")


def dataset_script():
    datasets = pytest.importorskip("datasets")
    Path("data").mkdir()
    Path("data/data.py").write_text("open('ran', 'w')\n")
    asking = {"trust_remote_code": True}  # apart, so that no traceback quotes it as an argument
    datasets.load_dataset("data", **asking)


ADVISING = [
    torch_pickle, numpy_pickle, remote_code_refused, remote_code_not_answered, timm_pickle, adapter_of_an_unknown_library,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def raised(action):
    with pytest.raises(Exception) as caught:
        action()
    return caught.value


@pytest.mark.parametrize("action", ADVISING)
def test_the_advice_of_a_real_error_is_replaced(action, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "n")
    advises = UNSAFE.search(str(raised(action)))
    assert advises or OTHER_VERSIONS, "the library advises no more: drop the case"
    for name in ("model", "adapter"):
        Path(name).exists() and Path(name).rename(f"old_{name}")

    assert guarded(action) == 1
    shown = capsys.readouterr().err
    assert not UNSAFE.search(without_source(shown)), shown
    assert (INSTEAD in shown) == bool(advises)
    assert not Path("ran").exists()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("action", ADVISING)
def test_also_where_our_own_error_repeats_it(action, debug, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda _: "n")
    error = raised(action)

    def repeat():
        message = f"the teacher cannot be read: {error}"
        raise DistillError(message) from error

    assert guarded(repeat, debug=debug) == 1
    shown = capsys.readouterr().err
    assert "the teacher cannot be read: " in shown
    assert not UNSAFE.search(without_source(shown)), shown


def without_source(text):
    """A traceback without the lines of source that it quotes, which are this file's own."""
    return re.sub(r'^  File "[^"]*test_advice[^"]*".*\n    .*$', "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("action", [numpy_objects, dataset_script])
def test_what_advises_nothing_stays_whole(action, capsys):
    assert guarded(action) == 1
    shown = capsys.readouterr().err
    assert INSTEAD not in shown
    assert not UNSAFE.search(without_source(shown)), shown
    assert not Path("ran").exists()


def test_what_is_wrong_is_still_said(capsys):
    assert guarded(torch_pickle) == 1
    assert re.search(r"Unsupported (global|operand|class)|GLOBAL", capsys.readouterr().err)


def test_our_own_refusal_stays_whole():
    text = "run.yaml:4:6: 'trust_remote_code: true' is refused: it runs code from the network; allowed is false"
    assert without_advice(text) == text
