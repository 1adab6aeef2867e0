"""A release: one command sets every version, and the packages' pages have links that work outside the repository."""

from __future__ import annotations

import importlib.util
import re
import shutil
import tomllib

import pytest

VERSIONED = ("CHANGELOG.md", "CITATION.cff", "packages/*/pyproject.toml", "packages/*/src/*/__init__.py")


@pytest.fixture(scope="module")
def bump(root):
    spec = importlib.util.spec_from_file_location("bump", root / ".ci/bump.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.bump


@pytest.fixture
def copy(root, tmp_path):
    """The files that hold a version, in a folder of their own."""
    for pattern in VERSIONED:
        for path in root.glob(pattern):
            target = tmp_path / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


def test_a_bump_sets_every_version(bump, copy, root):
    bump(copy, "9.8.7", "2031-02-03")
    texts = {path: path.read_text(encoding="utf-8") for pattern in VERSIONED for path in copy.glob(pattern)}
    now = re.search(r'__version__ = "(.*)"', (root / "packages/distill-core/src/distill_core/__init__.py").read_text())[
        1
    ]
    own = {path for path in texts if path.name == "__init__.py"}
    assert len(own) == 4
    assert all('__version__ = "9.8.7"' in texts[path] for path in own)
    pins = [
        pin for path in texts if path.suffix == ".toml" for pin in re.findall(r"distill-\w+==([\d.]+)", texts[path])
    ]
    assert set(pins) == {"9.8.7"}
    assert "\nversion: 9.8.7\n" in texts[copy / "CITATION.cff"]
    assert "\ndate-released: 2031-02-03\n" in texts[copy / "CITATION.cff"]
    headings = re.findall(r"^## \[(.*?)\]", texts[copy / "CHANGELOG.md"], re.MULTILINE)
    assert headings[:2] == ["Unreleased", "9.8.7"]
    assert headings[2:] == [now]


def test_a_version_is_not_released_twice(bump, copy):
    bump(copy, "9.8.7", "2031-02-03")
    with pytest.raises(ValueError, match=re.escape("CHANGELOG.md already has a section 9.8.7")):
        bump(copy, "9.8.7", "2031-02-03")


@pytest.mark.parametrize("name", ["core", "nlp", "vision", "zoo"])
def test_the_page_of_a_package_has_absolute_links(root, name):
    folder = root / f"packages/distill-{name}"
    assert tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"].keys() >= {
        "Homepage"
    }
    links = re.findall(r"\]\(([^)\s]+)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
