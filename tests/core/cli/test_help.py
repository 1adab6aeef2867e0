"""The help of every command, `--version` and shell completion."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

import distill_core
from distill_core.cli._app import app

from .command_tree import commands

COMMANDS = commands()
GROUPS = [(), *sorted({words[:-1] for words, _ in COMMANDS if len(words) > 1})]
VERBS = set(
    "Add Build Check Compare Convert Create Delete Diagnose Download Estimate Evaluate Export List Print Run Train "
    "Verify Write".split()
)


def shown(*words: str) -> str:
    ended = CliRunner().invoke(app, [*words, "--help"], prog_name="distill", terminal_width=80)
    assert ended.exit_code == 0, ended.output
    return ended.output


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) for words, _ in COMMANDS])
def test_every_command_begins_with_a_verb_and_explains_every_argument_and_option(words, command):
    assert command.help.split()[0] in VERBS  # imperative: add a verb here together with its command
    assert command.help.split("\n\n")[0].endswith(".")
    assert [parameter.name for parameter in command.params if not (parameter.help or "").strip()] == []
    assert "--debug" in shown(*words)


@pytest.mark.parametrize("group", GROUPS, ids=" ".join)
def test_a_list_of_commands_shows_complete_sentences(group):
    listed = shown(*group).partition("Commands:\n")[2].splitlines()
    names = [words[len(group)] for words, _ in COMMANDS if words[: len(group)] == group]
    assert [line.split()[0] for line in listed] == list(dict.fromkeys(names))
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


def test_one_option_has_one_help_text_in_all_commands():
    texts: dict[str, set[str]] = {}
    for words, command in COMMANDS:
        for parameter in command.params:
            if words != ("convert",) or parameter.name != "trust":  # it names what --model may import, not a file
                texts.setdefault(parameter.name, set()).add(parameter.help)
    shared = ("trust", "resume", "change", "as_json", "debug", "overrides")
    assert {name: len(texts[name]) for name in shared} == dict.fromkeys(shared, 1)
    assert texts["as_json"] == {"Print JSON."}


def test_every_command_prints_json():
    """`schema` does so without the option."""
    without = {words for words, command in COMMANDS if "as_json" not in {each.name for each in command.params}}
    assert without - set(GROUPS) == {("schema",)}


def test_a_misspelt_command_gets_a_suggestion():
    ended = CliRunner().invoke(app, ["evalute"])
    assert ended.exit_code == 2
    assert "Did you mean 'evaluate'?" in ended.output


def test_the_version_is_the_one_of_the_package(distill):
    assert distill("--version") == (0, f"distill {distill_core.__version__}\n", "")


def completed(monkeypatch, capsys, *words: str) -> list[str]:
    from distill_core.cli import main

    monkeypatch.setenv("_DISTILL_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(("distill", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ch",), ["plain,check"]),
        (("cache", ""), ["plain,build", "plain,verify", "plain,plan"]),
        (("run", "--re"), ["plain,--resume"]),
        (("list", "mo"), ["plain,models"]),
        (("run", "ki"), ["file,ki"]),
    ],
    ids=["command", "group", "option", "choice", "file"],
)
def test_shells_complete_commands_options_choices_and_files(monkeypatch, capsys, words, expected):
    assert completed(monkeypatch, capsys, *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell):
    ended = CliRunner().invoke(app, [], prog_name="distill", env={"_DISTILL_COMPLETE": f"{shell}_source"})
    assert ended.exit_code == 0, ended.output
    assert f"_DISTILL_COMPLETE={shell}_complete" in ended.output


def test_a_command_of_ours_has_no_second_name():
    assert all(isinstance(command, click.Command) and command.name == words[-1] for words, command in COMMANDS)


def test_the_shell_completes_commands_options_and_formats():
    from click.shell_completion import BashComplete

    from distill_core.cli._app import app

    def completed(words: list[str], incomplete: str) -> list[str]:
        complete = BashComplete(app, {}, "distill", "_DISTILL_COMPLETE")
        return [item.value for item in complete.get_completions(words, incomplete)]

    assert completed([], "ex") == ["export"]
    assert completed(["cache"], "") == ["build", "verify", "plan"]
    assert "--measure" in completed(["export", "out"], "--m")
    assert completed(["export", "out", "--format"], "o") == ["onnx"]
