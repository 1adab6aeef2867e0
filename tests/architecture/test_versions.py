"""Four packages, one version; requirements with a floor and no ceiling."""

from __future__ import annotations

import re
import tomllib

import pytest

PACKAGES = ("core", "nlp", "vision", "zoo")


@pytest.fixture(scope="module")
def projects(root):
    def read(name: str) -> dict:
        text = (root / f"packages/distill-{name}/pyproject.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)["project"]

    return {name: read(name) for name in PACKAGES}


@pytest.fixture(scope="module")
def version(root):
    text = (root / "packages/distill-core/src/distill_core/__init__.py").read_text(encoding="utf-8")
    return re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)[1]


def requirements(project: dict) -> list[str]:
    extras = project.get("optional-dependencies", {})
    return [*project["dependencies"], *(one for several in extras.values() for one in several)]


@pytest.mark.parametrize("name", PACKAGES)
def test_the_versions_are_in_lockstep(root, version, name):
    source = root / f"packages/distill-{name}/src/distill_{name}/__init__.py"
    assert f'__version__ = "{version}"' in source.read_text(encoding="utf-8")


def test_the_changelog_knows_the_version(root, version):
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text
    assert re.search(rf"^## \[{re.escape(version)}\]|^## \[Unreleased\]", text, re.MULTILINE)


@pytest.mark.parametrize("name", PACKAGES)
def test_siblings_are_pinned_to_this_version(projects, version, name):
    siblings = [one for one in requirements(projects[name]) if one.startswith("distill-")]
    others = [one for one in siblings if not one.startswith(f"distill-{name}[")]
    assert [one for one in others if not one.endswith(f"=={version}")] == []
    assert bool(others) == (name != "core")


@pytest.mark.parametrize("name", PACKAGES)
def test_every_other_requirement_has_a_floor_and_no_ceiling(projects, name):
    others = [one for one in requirements(projects[name]) if not one.startswith("distill-")]
    assert others
    assert [one for one in others if not re.fullmatch(r"[a-z0-9_-]+>=[0-9.]+", one)] == []


@pytest.mark.parametrize("name", PACKAGES)
def test_the_metadata_is_complete(root, projects, name):
    project, folder = projects[name], root / f"packages/distill-{name}"
    assert project["name"] == f"distill-{name}"
    assert project["requires-python"] == ">=3.11"
    assert project["license"] == "MIT"
    assert project["description"]
    assert project["keywords"]
    assert project["authors"] == [{"name": "The Distill authors"}]
    assert (folder / project["readme"]).is_file()
    assert (folder / "LICENSE").read_text(encoding="utf-8") == (root / "LICENSE").read_text(encoding="utf-8")
    assert (folder / f"src/distill_{name}/py.typed").is_file()


def test_the_zoo_needs_no_sibling_at_its_base(projects):
    assert projects["zoo"]["dependencies"] == ["filelock>=3.16", "pyyaml>=6.0.2"]


def test_nlp_needs_no_torchvision(projects):
    assert not any("torchvision" in one for one in requirements(projects["nlp"]))
