"""What an import loads, seen from a process of its own."""

from __future__ import annotations

import pytest

LOADED = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"

CASES = [
    ("import distill_core", {"torch", "yaml", "accelerate", "click", "rich", "numpy"}),
    ("import distill_core.errors, distill_core.experiment", {"torch", "yaml", "accelerate", "click", "rich", "numpy"}),
    ("import distill_core.taps", {"torch", "yaml", "accelerate", "numpy"}),
    ("import distill_core.losses", {"yaml", "accelerate", "click", "rich", "tensorboard", "matplotlib"}),
    ("import distill_core.hooks", {"yaml", "accelerate", "click", "rich"}),
    ("import distill_core.train", {"click", "rich", "tensorboard", "matplotlib"}),
    ("import distill_core.config", {"torch", "accelerate", "click", "numpy"}),
    ("import distill_core.cli", {"torch", "accelerate", "numpy"}),
    (
        "import distill_core.train",
        {"torch._dynamo", "torch._inductor", "torch.distributed.fsdp", "torch.distributed.tensor", "transformers"},
    ),
    ("import distill_vision", {"sklearn", "pycocotools", "accelerate", "yaml"}),
    ("import distill_nlp", {"torchvision", "evaluate", "datasets", "transformers", "accelerate"}),
    ("import distill_nlp.data, distill_nlp.metrics", {"torchvision", "evaluate", "datasets", "accelerate"}),
    ("import distill_zoo; distill_zoo.list_models()", {"torch", "numpy", "distill_core", "distill_vision"}),
]


@pytest.mark.parametrize(("statement", "absent"), CASES, ids=[statement for statement, _ in CASES])
def test_an_import_loads_no_more_than_it_must(python, statement, absent):
    loaded = set(python(f"{statement}; {LOADED}").stdout.split())
    assert loaded & absent == set()
    assert "distill_" + statement.split("distill_")[1].split(".")[0].split(";")[0].split(",")[0] in loaded


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["run", "--help"]])
def test_the_help_of_the_command_line_loads_no_torch(python, arguments):
    code = (
        "import sys\n"
        f"sys.argv = ['distill', *{arguments}]\n"
        "from distill_core.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as exit:\n    assert not exit.code, exit.code\n"
        "print()\n" + LOADED
    )
    shown = python(code).stdout
    assert "Usage" in shown
    assert set(shown.splitlines()[-1].split()) & {"torch", "accelerate", "numpy", "torchvision"} == set()
