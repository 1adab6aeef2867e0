"""Models, tokenizers and adapters with code in their folder are refused before a library runs it."""

from __future__ import annotations

import json

import pytest

from distill_core.errors import TrustError
from distill_nlp.data import find_tokenizer
from distill_nlp.models import from_pretrained, tiny_bert, with_adapter
from distill_nlp.tokenizers import wordpiece

CLASSES = "AutoModelForSequenceClassification"
FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "adapter_config.json",
    "processor_config.json",
)
SETTINGS = (
    {"auto_map": {"AutoConfig": "mine.Mine", CLASSES: "mine.Mine", "AutoTokenizer": ["mine.Mine", None]}},
    {"attn_implementation": "owner/kernel"},
    {"custom_pipelines": {"text-classification": {"impl": "mine.Mine", "pt": [CLASSES]}}},
    {"inner": {"trust_remote_code": True}},
)


@pytest.fixture
def folder(tmp_path):
    """Save a model with its tokenizer, next to code that leaves a trace."""
    path = tmp_path / "model"
    tiny_bert(vocab_size=20, layers=1, width=8).save_pretrained(path)
    wordpiece(["a cat sat"] * 2).save_pretrained(path)
    (path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    return path


def add(file, settings):
    old = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(old | settings))


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: next(iter(settings)))
@pytest.mark.parametrize("name", FILES)
def test_a_folder_with_code_is_refused(folder, name, settings):
    from_pretrained(CLASSES, folder)
    find_tokenizer(str(folder))
    add(folder / name, settings)
    for load in (lambda: from_pretrained(CLASSES, folder), lambda: find_tokenizer(str(folder))):
        with pytest.raises(TrustError) as raised:
            load()
        problem = raised.value.problems[0]
        assert problem.message.startswith(f"{folder / name}: '")
        assert "is refused: it runs code" in problem.message
        assert problem.hint.startswith("delete '")
    assert not (folder.parent / "ran").exists()


def test_a_name_on_the_hub_with_code_is_refused(folder, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(name, *, revision, allow_patterns):
        asked.append((name, revision))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    add(folder / "config.json", SETTINGS[0])
    with pytest.raises(TrustError, match="auto_map"):
        from_pretrained(CLASSES, "owner/model", revision="abc")
    assert asked == [("owner/model", "abc")]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # from PEFT and its dependencies
def test_an_adapter_that_names_a_module_to_import_is_refused(folder):
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(from_pretrained(CLASSES, folder), peft.LoraConfig(r=2, target_modules=["query"]))
    adapted.save_pretrained(folder.parent / "adapter")
    with_adapter(from_pretrained(CLASSES, folder), folder.parent / "adapter")
    add(folder.parent / "adapter/adapter_config.json", {"megatron_core": "mine", "megatron_config": {}})
    with pytest.raises(TrustError, match="'megatron_core: \"mine\"' is refused"):
        with_adapter(from_pretrained(CLASSES, folder), folder.parent / "adapter")


def test_transformers_would_load_the_kernel(folder):
    """Show that without the check, the library reads the key and only lacks the package that downloads the code."""
    import transformers

    add(folder / "config.json", {"attn_implementation": "owner/kernel"})
    with pytest.raises(ImportError, match="kernels"):
        transformers.AutoModel.from_pretrained(folder)


def test_transformers_does_not_ask_to_run_code(monkeypatch, tmp_path):
    """Use a config that names a class of transformers: for code of a hub model it would ask on the terminal."""
    from transformers.dynamic_module_utils import resolve_trust_remote_code

    from distill_core.config import Builder, read

    def fail(_):
        raise AssertionError

    monkeypatch.setattr("builtins.input", fail)
    (tmp_path / "run.yaml").write_text("x: !import_call_method:transformers.AutoConfig.for_model [bert]\n")
    document = read(tmp_path / "run.yaml")
    Builder(document).build(document.root)
    with pytest.raises(ValueError, match="requires you to execute custom code"):
        resolve_trust_remote_code(None, "owner/model", has_local_code=False, has_remote_code=True)


@pytest.mark.parametrize("value", [f"!import_call:distill_nlp.models.from_pretrained [{CLASSES}, model]", "model"])
def test_check_names_the_line_of_a_folder_with_code(folder, monkeypatch, value):
    """Check the settings of a model and of a dataset's tokenizer statically."""
    from distill_core.config import TrustProblem, check, read
    from distill_core.experiment import Experiment

    monkeypatch.chdir(folder.parent)
    if value == "model":
        value = "!import_call:distill_nlp.data.text_classification {tokenizer: model}"
    (folder.parent / "run.yaml").write_text(f"models: {{}}\ndata: {{}}\nstages: []\n_x: {value}\n")
    document = read(folder.parent / "run.yaml")
    assert not [each for each in check(document, Experiment) if isinstance(each, TrustProblem)]
    add(folder / "config.json", SETTINGS[0])
    found = [each for each in check(document, Experiment) if isinstance(each, TrustProblem)]
    assert [(each.location.line, each.message.partition(": ")[0]) for each in found] == [(4, "model/config.json")]
