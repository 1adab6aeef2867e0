"""Who may import whom, read from the syntax trees, function bodies included."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SIBLINGS = {
    "distill_core": set(),
    "distill_nlp": {"distill_core"},
    "distill_vision": {"distill_core"},
    "distill_zoo": set(),
}

# Part of distill_core → the parts that it may import besides itself. A part that is not listed fails the test.
ALLOWED: dict[str, set[str]] = {
    "__init__": set(),
    "errors": set(),
    "experiment": {"feature", "model_settings", "ranges"},
    "model_settings": {"ranges"},
    "feature": {"errors", "ranges"},
    "adapters": {"errors", "feature", "hooks", "layers", "taps"},
    "stage_problems": {"errors", "experiment"},
    "schedules": {"experiment", "ranges"},
    "lengths": set(),
    "number_text": set(),
    "ranges": set(),
    "records": {"errors"},
    "distributed": set(),
    "taps": {"errors"},
    "tree": set(),
    "hooks": {"taps", "tree", "errors"},
    "wiring": {"adapters", "errors", "feature", "hooks", "taps"},
    "surgery": {"hooks", "layers", "errors"},
    "layers": {"errors", "ranges"},
    "registry": {"errors"},
    "cache": {"distributed", "errors"},
    "losses": {"layers", "ranges", "registry", "distributed", "errors"},
    "data": {"errors", "distributed", "ranges", "tree"},
    "weights": {"errors", "records"},
    "optim": {"layers", "ranges"},
    "train": {
        "cache",
        "layers",
        "lengths",
        "number_text",
        "stage_problems",
        "experiment",
        "optim",
        "ranges",
        "records",
        "wiring",
        "hooks",
        "taps",
        "tree",
        "data",
        "weights",
        "distributed",
        "errors",
    },
    "config": {"errors", "lengths", "ranges", "taps"},
    "export": {"experiment", "wiring", "taps", "data", "weights", "errors"},
    "preview": {
        "adapters",
        "cache",
        "config",
        "data",
        "distributed",
        "errors",
        "experiment",
        "feature",
        "hooks",
        "layers",
        "taps",
        "train",
        "tree",
        "wiring",
    },
    "predict": {"data", "errors", "experiment", "taps", "train", "tree", "wiring"},
    "report": {"errors", "records"},
    "convert": {"errors"},
}
EVERYTHING = {"cli", "__main__"}

# What may be imported where; `None` is the package's whole tree.
ONLY_IN = {
    "accelerate": {"distill_core.train._run_context", "distill_core.train.callbacks._track"},
    "click": {"distill_core.cli"},
    "yaml": {
        "distill_core.config",
        "distill_core.preview",
        "distill_core.cli",
        "distill_core.convert",
        "distill_vision",
        "distill_zoo",
    },
}

TORCH_FREE = (
    "distill_core.errors",
    "distill_core.experiment",
    "distill_core.ranges",
    "distill_core.records",
    "distill_core.taps",
    "distill_core.config",
    "distill_core.convert",
)

FOREIGN = {
    "distill_core": {
        "accelerate",
        "deepspeed",
        "filelock",
        "matplotlib",
        "numpy",
        "rich",
        "safetensors",
        "tensorboard",
        "torch",
        "click",
        "yaml",
    },
    "distill_nlp": {
        "datasets",
        "evaluate",
        "huggingface_hub",
        "numpy",
        "pyarrow",
        "safetensors",
        "tokenizers",
        "torch",
        "transformers",
    },
    "distill_vision": {"numpy", "PIL", "pycocotools", "sklearn", "torch", "torchvision", "yaml"},
    "distill_zoo": {"filelock", "numpy", "safetensors", "torch", "yaml"},
}


def part(name: str) -> str:
    """The part of distill_core that a dotted name lies in."""
    return [*name.split("."), "__init__"][1]


def core_faults(module) -> list[str]:
    mine = part(module.name)
    if mine in EVERYTHING:
        return []
    if mine not in ALLOWED:
        return [f"{module.name} is in no layer: add it to ALLOWED"]
    parts = ALLOWED.keys() | EVERYTHING
    used = {(line, part(name)) for line, name in module.imports() if name.split(".")[0] == "distill_core"}
    # `from .. import __version__` names no part.
    faulty = sorted((line, other) for line, other in used if other in parts - ALLOWED[mine] - {mine, "__init__"})
    return [f"{module.name}:{line} imports distill_core.{other}" for line, other in faulty]


def test_each_part_of_core_imports_only_the_parts_below_it(modules):
    core = [module for module in modules if module.name.split(".")[0] == "distill_core"]
    assert [fault for module in core for fault in core_faults(module)] == []
    assert len(core) > 3


def test_the_layers_have_no_cycle():
    def below(name: str, seen: tuple[str, ...] = ()) -> None:
        assert name not in seen, f"{' → '.join(seen)} → {name}"
        for other in ALLOWED[name]:
            below(other, (*seen, name))

    for name in ALLOWED:
        below(name)


def test_each_package_imports_only_its_permitted_siblings(modules):
    faults = [
        f"{module.name}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if (other := name.split(".")[0]) in SIBLINGS
        and other not in SIBLINGS[module.name.split(".")[0]] | {module.name.split(".")[0]}
    ]
    assert faults == []


def test_each_package_imports_only_what_it_declares(modules):
    faults = [
        f"{module.name}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if (other := name.split(".")[0]) not in SIBLINGS
        and other not in sys.stdlib_module_names
        and other not in FOREIGN[module.name.split(".")[0]]
    ]
    assert faults == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_with_one_place_is_imported_nowhere_else(modules, library):
    homes = ONLY_IN[library]
    faults = [
        f"{module.name}:{line}"
        for module in modules
        for line, name in module.imports()
        if name.split(".")[0] == library and not any((module.name + ".").startswith(home + ".") for home in homes)
    ]
    assert faults == []


def test_the_torch_free_modules_import_no_torch(modules):
    faults = [
        f"{module.name}:{line}"
        for module in modules
        for line, name in module.imports()
        if name.split(".")[0] == "torch" and any((module.name + ".").startswith(free + ".") for free in TORCH_FREE)
    ]
    assert faults == []


def test_siblings_are_used_through_their_public_names(modules):
    faults = [
        f"{module.name}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if name.split(".")[0] in SIBLINGS
        and name.split(".")[0] != module.name.split(".")[0]
        and any(piece.startswith("_") for piece in name.split("."))
    ]
    assert faults == []


def test_imports_inside_functions_and_relative_ones_are_seen(modules):
    example = type(modules[0])(
        "distill_core.losses._x",
        Path("_x.py"),
        ast.parse("from ..config import read\ndef f():\n    from .. import train\n    import accelerate\n"),
    )
    assert [name for _, name in example.imports()] == ["distill_core.config.read", "distill_core.train", "accelerate"]
    assert core_faults(example) == [
        "distill_core.losses._x:1 imports distill_core.config",
        "distill_core.losses._x:3 imports distill_core.train",
    ]


def test_nothing_imports_tests_or_benchmarks(modules):
    faults = [
        f"{module.name}:{line} imports {name}"
        for module in modules
        for line, name in module.imports()
        if name.split(".")[0] in {"tests", "benchmarks"}
    ]
    assert faults == []
