"""The policy's table: every row has a reason, and check and build refuse every restricted argument."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from distill_core.config import Builder, TrustProblem, check_model_folder
from distill_core.config._guard import UntrustedError, judge_call
from distill_core.config.policy import _table as table
from distill_core.errors import TrustError

HEAD = "models: {}\ndata: {}\nstages: []\n"
HOSTILE: dict[str, list[object]] = {
    "trust_remote_code": [True, "true", 1, [True]],
    "auto_map": [{"AutoModel": "mine.Mine"}, ["mine.Mine", None], "mine.Mine"],
    "custom_pipeline": ["owner/name"],
    "custom_pipelines": [{"task": {"impl": "mine.Mine"}}],
    "custom_generate": ["owner/name", "folder"],
    "use_kernels": [True, "yes"],
    "kernel_config": [{"RMSNorm": "owner/kernel:Norm"}],
    "allow_all_kernels": [True],
    "attn_implementation": [
        "owner/kernel", "owner/kernel@main:attend", "paged|owner/kernel", {"text_config": "owner/kernel"}, True, "mine",
    ],
    "_attn_implementation": ["owner/kernel", {"": "owner/kernel"}],
    "_attn_implementation_internal": ["owner/kernel"],
    "experts_implementation": ["deepgemm", "owner/kernel", {"text_config": "sonicmoe"}],
    "_experts_implementation": ["deepgemm"],
    "_experts_implementation_internal": ["sonicmoe"],
    "quantization_config": [{"quant_method": "fp8"}, {"quant_method": "mxfp4"}],
    "import_allowlist": [["os"], "os"],
    "megatron_core": ["os", "mine.core"],
    "weights_only": [False, 0, "true"],
    "allow_pickle": [True, 1],
    "pickle_module": ["dill"],
    "checkpoint_path": ["weights.pth", "weights.bin"],
    "data_files": ["a.pkl", "A.PKL.gz", ["a.json", "b.py"], {"train": ["zip://a.pickle::b.zip"]}],
    "datasets.load.load_dataset.path": ["pandas", "folder/mine.py"],
    "evaluate.loading.load.path": ["./mine", "mine.py", "owner/mine", "folder/mine", "../mine", "", "here"],
    "evaluate.loading.load.revision": ["refs/pr/1", "main"],
    "evaluate.module.combine.evaluations": [["accuracy", "owner/mine"], {"mine": "./mine"}, "here"],
}  # fmt: skip
HARMLESS: dict[str, list[object]] = {
    "auto_map": [{}],
    "attn_implementation": ["eager", "sdpa", "flash_attention_2", {"text_config": "sdpa", "vision_config": "eager"}],
    "experts_implementation": ["grouped_mm"],
    "quantization_config": [{"load_in_4bit": True}, {"quant_method": "bitsandbytes"}],
    "checkpoint_path": ["weights.safetensors"],
    "data_files": ["a.json", {"train": "data/train-*.parquet"}],
    "trust_remote_code": [False],
    "weights_only": [True],
}
HOSTILE_CASES = [(name, value) for name, values in HOSTILE.items() for value in values]
BARE = [(name, value) for name, value in HOSTILE_CASES if "." not in name]


def test_each_row_has_a_name_once_and_a_reason():
    for rows in (table.ALLOWED, table.REFUSED, table.ARGUMENTS):
        assert all(rule.name and rule.allowed and rule.why for rule in rows)
        assert len({rule.name for rule in rows}) == len(rows)


def test_each_argument_of_the_table_is_tried():
    assert HOSTILE.keys() == {rule.name for rule in table.ARGUMENTS}


@pytest.mark.parametrize(("name", "value"), [case for case in BARE if not case[0].startswith("_")])
def test_check_and_build_refuse_an_argument(document, problems, name, value):
    text = f"x: !import_partial:torch.optim.SGD {{lr: {{{name}: {json.dumps(value)}}}}}\n"
    found = problems(f"{HEAD}_x: {{inner: {{{name}: {json.dumps(value)}}}}}\n")
    assert [type(problem) for problem in found] == [TrustProblem]
    assert f"'{name}: " in found[0].message
    assert "; allowed is " in found[0].message
    loaded = document(text)
    with pytest.raises(TrustError, match="is refused: it "):
        Builder(loaded).build(loaded.root)


@pytest.mark.parametrize(("name", "value"), BARE)
def test_a_model_folder_is_refused_at_any_depth(tmp_path, name, value):
    file = tmp_path / "config.json"
    for content, key in (({name: value}, name), ({"a": [{"text_config": {name: value}}]}, f"a.0.text_config.{name}")):
        file.write_text(json.dumps(content))
        with pytest.raises(TrustError) as raised:
            check_model_folder(tmp_path)
        message, hint = raised.value.problems[0].message, raised.value.problems[0].hint
        assert message.startswith(f"{file}: '{key}: ")
        assert hint.startswith(f"delete '{key}' from the file")


@pytest.mark.parametrize("name", sorted(HARMLESS))
def test_harmless_values_pass(tmp_path, problems, name):
    for value in [*HARMLESS[name], None]:
        (tmp_path / "config.json").write_text(json.dumps({"inner": {name: value}}))
        check_model_folder(tmp_path)
        assert problems(f"{HEAD}_x: {{{name}: {json.dumps(value)}}}\n") == []


FILES = (
    "config.json", "generation_config.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json",
    "video_preprocessor_config.json", "adapter_config.json", "config.4.0.0.json", "vision_model/config.json",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_settings_file_of_a_folder_is_read(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(json.dumps({"auto_map": {"AutoModel": "mine.Mine"}}))
    with pytest.raises(TrustError, match="auto_map"):
        check_model_folder(tmp_path)


def test_the_base_model_of_an_adapter_is_read_too(tmp_path):
    for name in ("adapter", "base"):
        (tmp_path / name).mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": str(tmp_path / "base")})
    )
    (tmp_path / "base/config.json").write_text(json.dumps({"base_model_name_or_path": str(tmp_path / "adapter")}))
    check_model_folder(tmp_path / "adapter")
    (tmp_path / "base/config.json").write_text(json.dumps({"auto_map": {"AutoModel": "mine.Mine"}}))
    with pytest.raises(TrustError, match=r"base/config\.json"):
        check_model_folder(tmp_path / "adapter")


def test_code_that_replaces_generate_is_refused(tmp_path):
    (tmp_path / "custom_generate").mkdir()
    (tmp_path / "custom_generate/generate.py").write_text("")
    with pytest.raises(TrustError, match=r"custom_generate/generate\.py is refused"):
        check_model_folder(tmp_path)


@pytest.mark.parametrize("content", ["", "[", "[" * 100_000, '"text"', "[1]", '{"vocabulary": {"a": 1}}'])
def test_damaged_and_other_files_are_left_to_the_library(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    (tmp_path / "vocab.json").write_text(json.dumps({"auto_map": 7, "trust_remote_code": 8}))
    check_model_folder(tmp_path)
    check_model_folder("a name on the hub")


def library_stub(model_name, pretrained=False, checkpoint_path=None):
    """Do nothing; the parameters are those of `timm.create_model`."""


def test_an_argument_by_position_is_refused(problems):
    import functools

    with pytest.raises(UntrustedError, match="checkpoint_path"):
        judge_call(library_stub, ["resnet18", False, "evil.pth"], {})
    with pytest.raises(UntrustedError, match="checkpoint_path"):
        judge_call(functools.partial, [library_stub, "resnet18", False, "evil.pth"], {})
    with pytest.raises(UntrustedError, match="checkpoint_path"):
        judge_call(functools.partial(library_stub, "resnet18"), [False, "evil.pth"], {})
    judge_call(library_stub, ["resnet18", False, "good.safetensors"], {})


def test_check_sees_an_argument_by_position(problems):
    timm = pytest.importorskip("timm")
    names = list(inspect.signature(timm.create_model).parameters)
    values = ["null"] * names.index("checkpoint_path") + ["evil.pth"]
    found = problems(f"{HEAD}_x: !import_call:timm.create_model [{', '.join(values)}]\n")
    assert [problem.message.partition(" is refused")[0] for problem in found] == ["'checkpoint_path: evil.pth'"]


@pytest.mark.parametrize(
    "arguments", ["{path: pandas}", "[pandas]", "[json, null, null, a.pkl]", "{path: json, data_files: {train: a.pkl}}"]
)
def test_check_and_build_refuse_data_that_are_pickles(problems, document, arguments):
    pytest.importorskip("datasets")
    text = f"!import_call:datasets.load_dataset {arguments}"
    assert [type(problem) for problem in problems(f"{HEAD}_x: {text}\n")] == [TrustProblem]
    loaded = document(f"x: {text}\n")
    with pytest.raises(TrustError, match="is refused: it "):
        Builder(loaded).build(loaded.root)


def test_setting_an_attribute_is_an_argument_too(document, problems):
    text = "!setattr:auto_map [!import_call:torch.nn.ReLU {}, {AutoModel: mine.Mine}]"
    assert [type(problem) for problem in problems(f"{HEAD}_x: {text}\n")] == [TrustProblem]
    loaded = document(f"x: {text}\n")
    with pytest.raises(TrustError, match="auto_map"):
        Builder(loaded).build(loaded.root)


def test_a_library_does_not_read_a_folder_that_brings_code(document, problems, tmp_path):
    """Refuse `transformers.AutoModel.from_pretrained` called directly by a config."""
    pytest.importorskip("transformers")
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "mine.py").write_text("open('MARK', 'w')\n")
    config = {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    for arguments in ("[model]", "{pretrained_model_name_or_path: model}"):
        text = f"!import_call_method:transformers.AutoModel.from_pretrained {arguments}"
        found = problems(f"{HEAD}_x: {text}\n")
        assert [type(problem) for problem in found] == [TrustProblem]
        assert found[0].message.startswith("model/config.json: 'auto_map: ")
        loaded = document(f"x: {text}\n")
        with pytest.raises(TrustError) as raised:
            Builder(loaded).build(loaded.root)
        assert "model/config.json: 'auto_map: " in str(raised.value)
        assert str(raised.value).startswith("run.yaml:1:")
    assert not Path("MARK").exists()


def _script(folder: Path) -> None:
    """Write a metric of somebody else."""
    folder.mkdir()
    (folder / f"{folder.name}.py").write_text("open('MARK', 'w')\nimport evaluate\nclass Mine(evaluate.Metric): pass\n")


EVALUATE = [
    (name.rpartition(".")[2], value, "evaluate.combine" if "combine" in name else "evaluate.load")
    for name, values in HOSTILE.items()
    if name.startswith("evaluate.")
    for value in values
]


@pytest.mark.parametrize(("argument", "value", "function"), EVALUATE)
def test_check_and_build_refuse_metrics_of_others(problems, document, argument, value, function):
    pytest.importorskip("evaluate")
    _script(Path("here"))
    given = {"path": "accuracy"} if argument == "revision" else {}
    text = f"!import_call:{function} {json.dumps({**given, argument: value})}"
    assert [problem.id for problem in problems(f"{HEAD}_x: {text}\n")] == ["refused-argument"]
    loaded = document(f"x: {text}\n")
    with pytest.raises(TrustError, match="is refused: it "):
        Builder(loaded).build(loaded.root)
    assert not Path("MARK").exists()


@pytest.mark.parametrize(
    ("call", "trust"),
    [
        ("load [accuracy]", ()),
        ("load [glue, mrpc]", ()),
        ("load {path: f1, module_type: metric, revision: null}", ()),
        ("combine [[accuracy, f1]]", ()),
        ("load [./here]", ("evaluate",)),
        ("load {path: owner/mine, revision: main}", ("evaluate",)),
    ],
)
def test_evaluates_own_metrics_need_no_trust(problems, build, monkeypatch, call, trust):
    pytest.importorskip("evaluate")

    def ask(path: str, **_: object) -> None:
        raise FileNotFoundError(f"asked for {path}")

    monkeypatch.setattr("evaluate.loading.evaluation_module_factory", ask)
    assert problems(f"{HEAD}_x: !import_call:evaluate.{call}\n", trust=trust) == []
    with pytest.raises(FileNotFoundError, match=r"asked for (accuracy|glue|f1|./here|owner/mine)"):
        build(f"x: !import_call:evaluate.{call}\n", trust=trust)


def test_evaluates_functions_are_called_and_not_passed_on(problems, document):
    """A dataset of torchvision would call its `loader` for every script in a folder."""
    pytest.importorskip("evaluate")
    for text in ("!import_get:evaluate.load", "!import_partial:evaluate.loading.load {}"):
        assert [problem.id for problem in problems(f"{HEAD}_x: {text}\n")] == ["call-only"]
        loaded = document(f"x: {text}\n")
        with pytest.raises(TrustError, match="may be called, but not be passed on"):
            Builder(loaded).build(loaded.root)
        assert problems(f"{HEAD}_x: {text}\n", trust=("evaluate",)) == []
