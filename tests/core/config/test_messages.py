"""Every message of a config and of its check: the id, and the full sentence, which no other test asserts."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import distill_core
from distill_core.cli._cached_models import provide_cached_models
from distill_core.cli._complete import stage_problems
from distill_core.cli._load import load_document
from distill_core.config import Builder, check, cross_check, read
from distill_core.errors import ConfigError, Problem
from distill_core.experiment import Experiment
from distill_core.preview import refuse_models

HEAD = "models: {}\ndata: {}\nstages: []\n"
STAGE = "models: {student: !import_call:torch.nn.Linear [2, 2]}\ndata: {}\nstages:\n- "
BOMB = "a0: &a0 [1, 1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
DIGITS = "seed: " + "1" * 5000
MANY = {f"f{i}.yaml": f"a: !include f{i + 1}.yaml\nb: !include f{i + 1}.yaml" for i in range(12)} | {"f12.yaml": "1"}
UNREADABLE = "unreadable"
NOT_BUILT = "cache: {teacher: {folder: none, build_model: false}}\n"


@dataclass(frozen=True)
class Case:
    """A text with one message; a text that begins with `!` is the value of a key."""

    id: str
    text: str | bytes
    message: str
    hint: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    override: str = ""
    trust: str = ""
    build: bool = False


CASES = [
    # reading
    Case("file-missing", "a: !include prat.yaml", "there is no file 'prat.yaml'", hint="did you mean 'part.yaml'?", files={"part.yaml": "1"}),
    Case("file-unreadable", "a: !include part.yaml", "'part.yaml' cannot be read: Permission denied", files={"part.yaml": UNREADABLE}),
    Case("file-too-large", "#" + "x" * 1_000_000, "'run.yaml' is larger than 1000000 bytes"),
    Case("file-empty", "", "the file is empty"),
    Case("not-utf-8", b"a: \xf6", "'run.yaml' is not UTF-8 text (byte 3)", hint="save it as UTF-8"),
    Case("character-not-allowed", "about: \u0007", "the character U+0007 is not allowed in a YAML file"),
    Case("syntax", "a: [1", "this is not YAML: expected ',' or ']', but got the end of the file, while parsing a flow sequence", hint="it begins at run.yaml:1:4"),
    Case("torchdistill-file", "models:\n  student_model:\ntrain:\n  criterion:\n", "run.yaml is a file of torchdistill", hint="convert it: distill convert-torchdistill run.yaml NEW.yaml"),
    Case("second-document", "a: 1\n---\nb: 2", "a second document begins here", hint="remove '---': a file holds one document"),
    Case("top-not-mapping", "[1, 2]", "an experiment is a mapping, not a list"),
    Case("nested-too-deep", f"a: {'[' * 101}{']' * 101}", "nested more than 100 levels deep"),
    Case("too-many-nodes", BOMB, "expands into more than 100000 nodes", hint="use fewer aliases of aliases"),
    Case("key-not-string", "1: a", "a key must be a string, not the integer 1", hint="quote it: '1'"),
    Case("duplicate-key", "a: 1\na: 2", "the key 'a' exists already at run.yaml:1:1"),
    Case("merge-not-mapping", "a: {<<: [1]}", "'<<' merges mappings, not the integer 1"),
    Case("scalar-malformed", "a: !!int two", "'two' is not an integer"),
    Case("number-too-long", DIGITS, "the number has too many digits"),
    Case("unknown-anchor", "a: &x 1\nb: *xx", "there is no anchor '&xx' before this alias", hint="did you mean 'x'?"),
    Case("duplicate-anchor", "a: &x 1\nb: &x 2", "the anchor '&x' exists already at run.yaml:1:4", hint="rename one of them"),
    Case("alias-cycle", "a: &a [*a]", "'*a' is inside the node that it refers to"),
    Case("include-form", "a: !include [part.yaml]", "'!include' takes the path of a file", hint="write '!include part.yaml'"),
    Case("include-cycle", "a: !include run.yaml", "'run.yaml' includes itself: run.yaml → run.yaml"),
    Case("too-many-files", "a: !include f0.yaml", "more than 100 files are included", files=MANY),
    Case("includes-too-deep", f"a: {'[' * 50}!include deep.yaml {']' * 50}", "nested more than 100 levels deep with its includes", files={"deep.yaml": f"a: {'[' * 90}{']' * 90}"}),
    Case("includes-too-large", "a: [!include big.yaml , !include big.yaml ]", "more than 100000 nodes with its includes", files={"big.yaml": f"[{'1, ' * 60_000}1]"}),
    Case("base-form", "base: {a: 1}", "'base' takes the path of a file or a list of them, not a mapping"),
    Case("base-not-mapping", "base: part.yaml\na: 1", "the base 'part.yaml' is not a mapping", files={"part.yaml": "[1]"}),
    # overrides
    Case("override-key-missing", "a: 1", "a key is missing here", hint="write key=value, +key=value or ~key", override="=2"),
    Case("override-equals-missing", "a: 1", "'=' is missing here", hint="write key=value, +key=value or ~key", override="a"),
    Case("override-removes-value", "a: 1", "'~key' takes no value", override="~a=1"),
    Case("override-unknown-key", "seed: 1", "the file has no key 'sede'", hint="did you mean 'seed'?; write '+sede=2' to add it", override="sede=2"),
    Case("override-key-exists", "a: 1", "'a' exists already", hint="write 'a=2' to replace it", override="+a=2"),
    Case("override-not-an-index", "a: [1]", "'a' is a list: 'first' is not an index", hint="count from 0", override="a.first=2"),
    Case("override-index-out-of-range", "a: [1]", "'a' has 1 element: there is no element 1", hint="count from 0", override="a.1=2"),
    Case("override-below-scalar", "a: 1", "'a' is the integer 1: there is no 'b' below it", override="a.b=2"),
    # tags
    Case("unknown-tag", "!import_cal:torch.nn.ReLU {}", "there is no tag '!import_cal:torch.nn.ReLU'", hint="did you mean '!import_call'?"),
    Case("tag-takes-no-name", "!join:a [b]", "'!join' takes no name", hint="write '!join' and a space"),
    Case("tag-name-missing", "!import_call: {}", "'!import_call:' needs a name", hint="write '!import_call:NAME'"),
    Case("join-form", "!join a", "'!join' takes a list of strings"),
    Case("path-form", "!expanduser [a]", "'!expanduser' takes a path"),
    Case("import-path-malformed", "!import_call:torch..nn {}", "'!import_call' takes an import path, got 'torch..nn'", hint="write 'package.module.name'"),
    Case("import-get-arguments", "!import_get:torch.float32 {a: 1}", "'!import_get' takes no arguments", hint="use '!import_call' to call the object"),
    Case("arguments-string", "!import_call:torch.nn.ReLU true", "'!import_call:torch.nn.ReLU' takes a mapping of named arguments or a list, not the string 'true'", hint="write [true] for one positional argument"),
    Case("tag-form", "!import_call [torch.nn.ReLU]", "'!import_call' takes a mapping of 'key', 'package', 'init'", hint="or write '!import_call:NAME'"),
    Case("unknown-field", "!import_call {key: torch.nn.ReLU, inplace: true}", "'inplace' is not a field of '!import_call'", hint="put arguments under 'init: {args: [...], kwargs: {...}}'"),
    Case("missing-field", "!call_method:relu {args: []}", "'!call_method' needs the field 'obj'", hint="or write '!call_method:NAME'"),
    Case("field-not-string", "!import_call {key: 3}", "'key' of '!import_call' takes a string, not the integer 3"),
    Case("method-without-class", "!import_call_method {package: a.b, class_name: C}", "'class_name' needs 'method_name' as well", hint="give both, or put both into 'package'"),
    Case("init-form", "!import_call {key: torch.nn.ReLU, init: [1]}", "'init' of '!import_call' takes a mapping of 'args' and 'kwargs', not a list"),
    Case("unknown-init-key", "!import_call {key: torch.nn.ReLU, init: {inplace: true}}", "'inplace' is neither 'args' nor 'kwargs'", hint="write 'kwargs: {inplace: ...}'"),
    Case("args-form", "!import_call {key: torch.nn.ReLU, init: {args: 1}}", "'args' takes a list, not the integer 1"),
    Case("kwargs-form", "!import_call {key: torch.nn.ReLU, init: {kwargs: 1}}", "'kwargs' takes a mapping, not the integer 1"),
    Case("access-form", "!access_by_index_or_key:a [b, c]", "'!access_by_index_or_key:KEY' takes a list of one element, the data"),
    Case("attribute-form", "!getattr:a b", "'!getattr' takes a list: [obj, name, default]"),
    Case("attribute-operands", "!setattr:a [b]", "'!setattr' takes [obj, value], not 1 element"),
    Case("attribute-name", "!getattr [[1], !import_get:builtins.int]", "'!getattr' takes the name of an attribute", build=True),
    Case("join-element", "!join [[a]]", "'!join' takes strings and numbers", build=True),
    # names and trust
    Case("private-name", "!import_get:torch._C._nn.gelu", "'torch._C._nn.gelu' contains the private name '_C'", hint="use a name that the package exports"),
    Case("refused-name", "!import_call:torch.load [a]", "'torch.load' is refused: it unpickles a file, which can run any code; weights are read with distill_core.weights"),
    Case("name-not-allowed", "!import_get:torch.tensr", "'torch.tensr' is not among the parts of torch that a config may name", hint="did you mean 'torch.tensor'?"),
    Case("untrusted-package", "!import_call:my_losses.Loss {}", "'my_losses.Loss' is outside the trusted packages", hint="add '--trust my_losses' if you trust its code"),
    Case("untrusted-object", "!import_get:torch.nn.modules.module.T", "torch.nn.modules.module.T is an object of class typing.TypeVar, which is outside the trusted packages", build=True),
    Case("refused-module", "!import_get:torch.nn.modules.module.torch.jit.script", "'torch.nn.modules.module.torch.jit.script' passes through torch.jit, which is refused: it loads and compiles code", build=True),
    Case("untrusted-import", "!import_call:mine_importing.Loss {}", "'mine_importing.Loss' needs the module 'mine_imported' beside the file, which is not trusted", hint="add '--trust mine_imported' if you trust mine_imported.py beside the file, or '--trust .' for all modules there", trust="mine_importing", build=True, files={"mine_importing.py": "import mine_imported", "mine_imported.py": ""}),
    Case("untrusted-module", "!import_get:torch.nn.modules.module.warnings.warn", "'torch.nn.modules.module.warnings.warn' passes through warnings, which is outside the trusted packages", build=True),
    Case("call-only", "!import_get:evaluate.load", "'evaluate.load' may be called, but not be passed on", hint="use '!import_call:evaluate.load', or add '--trust evaluate' if you trust the file"),
    Case("module-not-object", "!import_get:torch.nn", "'torch.nn' is a module, not an object", hint="name an object in it"),
    Case("module-missing", "!import_call:my_losses.Loss {}", "there is no module 'my_losses'", trust="my_losses", build=True),
    Case("package-missing", "!import_call:my_losses.Loss {}", "the package 'my_losses' is not installed", trust="my_losses"),
    Case("name-missing", "!import_call:torch.nn.Linaer [1, 1]", "'torch.nn' has no 'Linaer'", hint="did you mean 'Linear'?"),
    Case("short-name-missing", "!import_call:KDLos {}", "nothing is registered as 'KDLos'", hint="did you mean 'KDLoss'?"),
    Case("not-callable", "!import_call:torch.float32 {}", "'torch.float32' cannot be called", hint="use '!import_get' to get the object itself", build=True),
    Case("attribute-missing", "!getattr:in_feature [!import_call:torch.nn.Linear [1, 1]]", "torch.nn.modules.linear.Linear has no attribute 'in_feature'", hint="did you mean 'in_features'?", build=True),
    Case("private-attribute", "!getattr:_modules [!import_call:torch.nn.ReLU {}]", "the attribute '_modules' is private"),
    Case("method-not-allowed", "!call_method:register_buffer {obj: !import_call:torch.nn.ReLU {}, args: [a, null]}", "a config may not use 'register_buffer'"),
    Case("setattr-definition", "!setattr:forward [!import_get:torch.nn.ReLU , 1]", "'!setattr' changes objects, not classes, functions or modules"),
    Case("refused-argument", "!import_call:transformers.AutoModel.from_pretrained {trust_remote_code: true}", "'trust_remote_code: true' is refused: it runs code from the network; allowed is false"),
    Case("trust-not-allowed", "!import_get:torch.float32", "'--trust os' is not allowed: it is part of Python itself", trust="os"),
    # arguments
    Case("too-many-arguments", "!import_call:torch.nn.ReLU [true, 1]", "torch.nn.ReLU() takes 1 positional argument, not 2"),
    Case("argument-given-twice", "!import_call {key: torch.nn.ReLU, init: {args: [true], kwargs: {inplace: true}}}", "torch.nn.ReLU() gets 'inplace' twice, by position and by name"),
    Case("unknown-argument", "!import_call:torch.nn.ReLU {inplaec: true}", "torch.nn.ReLU() has no parameter 'inplaec'", hint="did you mean 'inplace'?"),
    Case("missing-argument", "!import_call:torch.nn.Linear {in_features: 2}", "torch.nn.Linear() needs the argument 'out_features'"),
    # the experiment
    Case("missing-key", "data: {}\nstages: []", "an experiment needs the key 'models'"),
    Case("unknown-key", HEAD + "sede: 1", "an experiment has no key 'sede'", hint="did you mean 'seed'?"),
    Case("renamed-key", STAGE + "losses: {kd: {loss: !import_call:KDLoss {}, inputs: {}, apart: true}}", "the key 'apart' of a term is now 'separate_gradient'", hint="write 'separate_gradient'"),
    Case("trust-in-file", HEAD + "trust: [a]", "'trust' cannot be set in a file", hint="write '--trust PACKAGE' on the command line"),
    Case("wrong-type", STAGE + "epochs: two", "'epochs' takes an integer or null, not the string 'two'"),
    Case("settings-refused", HEAD + "sources: {teacher: {size: [8]}}", "`size` must be a height and a width, got 1 number"),
    Case("tokenizer-without-texts", HEAD + "sources: {teacher: {tokenizer: bert}}", "no data of this file have a `tokenizer`, so 'teacher' cannot have another one"),
    Case("tokenizer-twice", "sources: {teacher: {tokenizer: a}}\ndata: {train: !import_call:distill_nlp.data.glue {task: cola, split: train, tokenizer: s, tokenizers: {teacher: b}, batch_size: 2}}", "`teacher` in tokenizers of distill_nlp.data.glue() has another value", hint="give it in one place"),
    Case("one-tokenizer", "sources: {teacher: {tokenizer: a}}\ndata: {train: !import_call:distill_nlp.data.language_modelling {tokenizer: s}}", "distill_nlp.data.language_modelling() does not tokenise for several models", hint="use data with `tokenizers`"),
    Case("one-max-length", "sources: {teacher: {tokenizer: a, max_length: 9}}\ndata: {train: !import_call:distill_nlp.data.completions {file: a, tokenizer: s}}", "distill_nlp.data.completions() truncates the texts of all models at the same length", hint="omit `max_length`"),
    Case("out-of-range", STAGE + "epochs: 0", "'epochs' must be >= 1, got 0"),
    Case("not-a-model", "models: {teacher: }\ndata: {}\nstages: []", "'teacher' is null, which is not a model", hint="create the model with `!import_call:`, or remove the entry"),
    Case("unknown-model", STAGE + "feed: {studnet: {x: batch.x}}", "there is no model 'studnet'", hint="did you mean 'student'?"),
    Case("tap-malformed", STAGE + "feed: {student: {x: 'a:b:c'}}", "'a:b:c' has more than one ':'", hint="write it like 'student', 'student.layer1:in' or 'batch.target'"),
    Case("tap-unknown-model", STAGE + "feed: {student: {x: techer.fc}}", "'techer.fc': there is no model 'techer'", hint="choose from 'batch', 'student'"),
    Case("glob-unknown-model", STAGE + "train: [studnet.fc]", "'studnet.fc' begins with neither the name of a model nor 'losses'", hint="did you mean 'student'?"),
    Case("no-stages", "models: {}\ndata: {}\nstages: []", "an experiment needs at least one stage, or a test"),
    Case("first-stage-incomplete", "models: {}\ndata: {train: x}\nstages: [{epochs: 1, losses: {a: 1}}]", "the first stage needs 'optimizer'"),
    Case("stage-without-length", STAGE + "losses: {a: 1}", "the first stage needs 'epochs' or 'steps'"),
    Case("two-lengths", STAGE + "epochs: 1\n  steps: 1", "`epochs` and `steps` exclude each other: each sets the length of the stage", hint="give one of them; where a base or an earlier stage sets the other, set that to null"),
    Case("epochs-of-steps", STAGE + "steps: 1\n  scheduler: a\n  scheduler_step: epoch", "`scheduler_step: epoch` does not fit a stage of `steps`, which may end within an epoch", hint="set `scheduler_step: step`"),
    Case("no-training-data", STAGE + "epochs: 1", "there is no training data", hint="give `data.train`, or `data` of the stage"),
    Case("no-losses", STAGE + "losses: {}", "a stage has no losses", hint="give at least one under `losses`"),
    Case("nothing-to-train", STAGE + "train: []", "the list is empty, so nothing would be trained", hint="omit `train` to train all losses and every model whose name does not begin with 'teacher'"),
    Case("unknown-group-option", STAGE + "{optimizer: !import_partial:torch.optim.SGD {lr: 1}, groups: {student: {momentun: 0.9}}}", "the optimizer torch.optim.SGD has no option 'momentun'", hint="did you mean 'momentum'?"),
    Case("schedule-length", STAGE + "scheduler: !import_partial:torch.optim.lr_scheduler.CosineAnnealingLR {T_max: 120%}", "`T_max` is 120% of the stage, but a share is from 0% to 100%", hint="write a share with a percent sign, `5%`"),
    Case("best-not-measured", HEAD + "callbacks: [!import_call:distill_core.train.Evaluate {loader: x, metrics: {top1: {}}}, !import_call:distill_core.train.Checkpoint {best: top5}]", "no Evaluate before this Checkpoint measures 'top5' on 'val'", hint="did you mean 'top1'?"),
    # models
    Case("folder-refused-setting", "!import_call:distill_nlp.models.from_pretrained [model]", "model/config.json: 'auto_map: 1' is refused: it runs code that a file or the network brings; allowed is null", hint="delete 'auto_map' from the file, or convert the model where you trust its code and save it again", files={"model/config.json": '{"auto_map": 1}'}),
    Case("folder-replaces-generate", "!import_call:distill_nlp.models.from_pretrained [model]", "model/custom_generate/generate.py is refused: it is code that replaces generate()", hint="delete the folder custom_generate to use the generate() of transformers", files={"model/custom_generate/generate.py": "", "model/config.json": "{}"}),
    Case("model-not-module", "models: {student: !import_get:torch.nn.ReLU }", "'student' must be an nn.Module, got the class ReLU", hint="create the model with '!import_call:'; '!import_get:' gives the class or function itself", build=True),
    Case("model-not-built", f"{NOT_BUILT}models: {{teacher: &a !import_call:torch.nn.ReLU {{}}}}\nx: *a", "another object of this file uses 'teacher', which is not built", hint="set cache.teacher.build_model: true", build=True),
    Case("cache-missing", f"{NOT_BUILT}models: {{teacher: !import_call:torch.nn.ReLU {{}}}}", "'teacher' is not built, and none holds no cache of it", hint="build it where the model is: distill cache build FILE", build=True),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _unreadable(monkeypatch):
    """Make reading a file with the content `unreadable` fail."""
    read_bytes = Path.read_bytes

    def refuse(path: Path) -> bytes:
        content = read_bytes(path)
        if content == UNREADABLE.encode():
            raise PermissionError(13, "Permission denied")
        return content

    monkeypatch.setattr(Path, "read_bytes", refuse)


def _problems(case: Case, schemas: Mapping[str, type]) -> list[Problem]:
    text = case.text
    if isinstance(text, str) and text.startswith("!"):
        text = f"x: {text}" if case.build else f"{HEAD}_x: {text}"
    for name, content in {"run.yaml": text, **case.files}.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    trust = (case.trust,) if case.trust else ()
    try:
        if case.id == "torchdistill-file":
            load_document(Path("run.yaml"))
        document = read("run.yaml", [case.override] if case.override else [])
        if case.build:
            builder = Builder(document, trust)
            provide_cached_models(document, builder)
            built = builder.build(document.root)
            refuse_models(document, built["models"])
        problems = check(document, Experiment, schemas, trust)
        return [*problems, *stage_problems(document), *cross_check(document, trust)]
    except ConfigError as error:
        return list(error.problems)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_message(case, schemas):
    found = {(problem.message, problem.hint) for problem in _problems(case, schemas) if problem.id == case.id}
    assert found == {(case.message, case.hint)}


def _records(path: Path) -> list[str]:
    """Return the id of each `Problem(…)` in a file; an empty string for one without."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("Problem", "TrustProblem")]
    return [next((ast.literal_eval(item.value) for item in call.keywords if item.arg == "id"), "") for call in named]


def test_each_message_of_config_has_an_id_of_its_own_and_a_case():
    package = Path(distill_core.__file__).parent
    ids = Counter(filter(None, (name for path in package.rglob("*.py") for name in _records(path))))
    assert {name: count for name, count in ids.items() if count > 1} == {}
    assert [path.name for path in (package / "config").glob("*.py") if "" in _records(path)] == []
    assert Counter(case.id for case in CASES) == ids
    assert [name for name in ids if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", name)] == []
