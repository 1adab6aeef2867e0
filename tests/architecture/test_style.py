"""Sizes of files, functions and folders, names of files, and state of modules."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter

import pytest

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_FOLDER_FILES = 300, 60, 30
# One file per loss.
LARGE_FOLDERS = {"packages/distill-core/src/distill_core/losses", "tests/core/losses"}
VAGUE_NAME = re.compile(r"(^|_)(util|utils|common|misc|helper|helpers|manager)(_|$)")
OPEN_TASK = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X{3}|HA" + r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home|Users|opt|mnt)/\w|\.\./sha" + r"red\b")
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yaml", ".yml", ".cfg", ".txt", ".sh", ""}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.fixture(scope="module")
def texts(root, tracked):
    """Path from the top → text, of every text file."""
    files = [path for path in tracked if path.suffix in TEXT_SUFFIXES]
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in files}


def test_no_file_is_long(texts):
    lines = {name: text.count("\n") for name, text in texts.items() if name.endswith(".py")}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}


def test_no_folder_has_many_files(texts):
    counts = Counter(name.rpartition("/")[0] for name in texts if name.endswith(".py"))
    large = {folder: count for folder, count in counts.items() if count > MAX_FOLDER_FILES}
    assert {folder: count for folder, count in large.items() if folder not in LARGE_FOLDERS} == {}


def test_no_function_is_long(modules):
    long = {
        f"{module.name}.{node.name}": node.end_lineno - node.lineno + 1
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTIONS) and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == {}


def test_no_file_has_a_vague_name(texts):
    names = [name for name in texts if name.startswith(("packages/", "benchmarks/", "tests/"))]
    vague = [name for name in names if any(VAGUE_NAME.search(piece.partition(".")[0]) for piece in name.split("/"))]
    assert vague == []


def test_nothing_is_left_to_do(texts):
    left = [
        f"{name}:{text[: found.start()].count(chr(10)) + 1}"
        for name, text in texts.items()
        for found in OPEN_TASK.finditer(text)
    ]
    assert left == []


def test_nothing_names_a_place_on_some_machine(texts):
    # The script that runs the tests on a shared machine may look beside the checkout.
    named = [
        f"{name}:{text[: found.start()].count(chr(10)) + 1}: {found[0]}"
        for name, text in texts.items()
        for found in MACHINE_PATH.finditer(text)
        if name != ".ci/run"
    ]
    assert named == []


def test_every_module_has_a_docstring(modules):
    assert [module.name for module in modules if not ast.get_docstring(module.tree)] == []


def test_no_module_keeps_mutable_state(modules):
    """A list, dict or set at the top of a module is a constant: its name is in capitals."""
    mutable = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
    faults = [
        f"{module.name}.{target.id}"
        for module in modules
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, mutable)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and target.id != "__all__" and target.id.upper() != target.id
    ]
    assert faults == []


def test_private_files_lie_behind_their_package(modules):
    """Files in a subpackage begin with an underscore, so that each name has one path."""
    inner = [module for module in modules if module.name.count(".") >= 2 and module.path.name != "__init__.py"]
    assert [module.name for module in inner if not module.path.name.startswith("_")] == []


def test_every_folder_is_a_package_that_git_tracks(root, modules):
    """A wheel contains what git does not ignore."""
    folders = {module.path.parent for module in modules}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
    paths = "\n".join(str(module.path) for module in modules)
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    ignored = subprocess.run(command, cwd=root, input=paths, capture_output=True, text=True, check=False).stdout
    assert ignored == ""
