"""What the command line imports, and how its words are read."""

from __future__ import annotations

import pytest

HEAVY = {"accelerate", "numpy", "rich", "torch"}
# The files of all commands are imported for the list of commands; their bodies import the rest when they run.
HEAVY_FOR_HELP = HEAVY | {"yaml", "email"}
LOADED = (
    "import sys; sys.argv = ['distill', *sys.argv[1:]]\nimport distill_core.cli\ntry:\n    distill_core.cli.main()\n"
)
LOADED += "except SystemExit as end:\n    print(end.code, *sorted({name.partition('.')[0] for name in sys.modules}))"


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("check", "small/toy.yaml", "seed=1")])
def test_quick_commands_import_nothing_heavy(toy, python, words):
    toy.write_text(
        toy.read_text().replace("!import_call:toy.points {split:", "!import_call:torch.utils.data.DataLoader {dataset:")
    )
    toy.write_text(toy.read_text().replace("toy.Net {width:", "torch.nn.Linear {out_features: 2, in_features:"))
    toy.write_text(toy.read_text().replace("toy.Share", "torch.nn.Identity"))
    last = python(LOADED, *words).stdout.splitlines()[-1].split()
    assert last[0] == "0"
    assert (HEAVY_FOR_HELP if "--help" in words else HEAVY) & set(last) == set()


def test_help_names_every_command(distill):
    ended = distill("--help")
    assert ended.code == 0
    assert all(f"\n  {name} " in ended.out for name in ("run", "check", "evaluate", "show"))


@pytest.mark.parametrize("words", [("frobnicate",), ("run",), ("check",), ("run", "x.yaml", "--frobnicate")])
def test_words_that_make_no_command_are_bad_input(distill, words):
    assert distill(*words).code == 2


def test_the_door_has_the_function_behind_run_and_nothing_else():
    import distill_core.cli

    assert callable(distill_core.cli.run_experiment)
    with pytest.raises(AttributeError, match=r"^module 'distill_core\.cli' has no attribute 'walk'"):
        _ = distill_core.cli.walk
