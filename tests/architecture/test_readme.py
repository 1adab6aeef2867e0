"""The READMEs say what is so."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PACKAGES = ("core", "nlp", "vision", "zoo")


def blocks(text: str, *languages: str) -> list[str]:
    return [body for language, body in BLOCK.findall(text) if language in languages]


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readmes(root, tracked):
    """Path from the top → text, of every Markdown file."""
    return {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in tracked if path.suffix == ".md"
    }


def test_the_first_two_shell_blocks_are_the_main_job_and_the_tests(readme):
    first, second = blocks(readme, "sh", "bash", "shell")[:2]
    assert first.rstrip().endswith("hatch run benchmark:digits")
    assert second.rstrip().endswith("hatch run test:all")
    assert first.replace("benchmark:digits", "") == second.replace("test:all", "")


def test_every_hatch_command_exists(root, readmes):
    text = (root / "hatch.toml").read_text(encoding="utf-8")
    named = {found for body in readmes.values() for found in re.findall(r"hatch run ([\w-]+):([\w-]+)", body)} - {
        ("test", "python")
    }
    assert named
    for environment, script in named:
        assert f"[envs.{environment}.scripts]" in text
        section = text.split(f"[envs.{environment}.scripts]")[1].split("\n[")[0]
        assert re.search(rf"^{script} = ", section, re.MULTILINE), f"{environment}:{script}"


def test_the_tree_lists_what_is_there(root, readmes):
    tree = next(body for body in blocks(readmes["CONTRIBUTING.md"], "text") if body.startswith("packages/"))
    listed, stack = [], []
    for line in tree.splitlines():
        name = re.match(r"[ │├└─]*([\w.\-/]+)", line)[1]
        depth = line.index(name) // 4
        stack[depth:] = [name.rstrip("/")]
        listed.append("/".join(stack))
    assert len(listed) > 10
    assert [path for path in listed if not (root / path).exists()] == []


def test_links_between_files_lead_somewhere(root, readmes):
    """The site's reference is written when the site is built: the pages of the index, and one for each file of losses."""
    index = (root / "docs/index.md").read_text(encoding="utf-8")
    generated = {root / f"docs/{page}.md" for page in re.findall(r"^reference/\S+$", index, re.MULTILINE)}
    assert len(generated) > 3
    losses = root.glob("packages/*/src/*/losses/_[a-z]*.py")
    generated |= {root / f"docs/reference/methods/{file.stem.removeprefix('_')}.md" for file in losses}
    broken = [
        f"{name}: {target}"
        for name, text in readmes.items()
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
        if not (path := ((root / name).parent / target).resolve()).exists() and path not in generated
    ]
    assert broken == []


def test_each_yaml_example_is_accepted(readmes, tmp_path):
    examples = [
        (name, body)
        for name, text in readmes.items()
        for body in blocks(text, "yaml")
        if "models:" in body and "stages:" in body
    ]
    assert examples
    for number, (name, body) in enumerate(examples):
        path = tmp_path / f"{number}.yaml"
        path.write_text(body, encoding="utf-8")
        code = "from distill_core.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "check", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", PACKAGES)
def test_the_example_of_each_package_runs(root, python, name):
    text = (root / f"packages/distill-{name}/README.md").read_text(encoding="utf-8")
    examples = blocks(text, "python")
    assert examples
    for example in examples:
        python(example)


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_says_how_to_install_it(root, name):
    text = (root / f"packages/distill-{name}/README.md").read_text(encoding="utf-8")
    commands = [line for body in blocks(text, "sh") for line in body.splitlines() if line.startswith("pip install")]
    ours = [command for command in commands if "./packages/" in command]
    assert any(f"./packages/distill-{name}" in command for command in ours)
    assert all("./packages/distill-core" in command for command in ours) or name == "zoo"
