"""One lock for every environment: complete, without siblings or addresses, and followed by hatch and pre-commit."""

from __future__ import annotations

import re
import tomllib

import pytest

TOML = {"hatch": "hatch.toml"} | {
    name: f"packages/distill-{name}/pyproject.toml" for name in ("core", "nlp", "vision", "zoo")
}


@pytest.fixture(scope="module")
def lock(root):
    return (root / "constraints.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def hatch(root):
    return tomllib.loads((root / "hatch.toml").read_text(encoding="utf-8"))


def pinned(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))


def names(requirements: list[str]) -> set[str]:
    """Return the distributions of requirements, spelled as the lock spells them."""
    found = {re.match(r"[A-Za-z0-9._-]+", each)[0] for each in requirements}
    return {re.sub(r"[._-]+", "-", each).lower() for each in found}


def required(table: dict) -> list[str]:
    """Return all requirements of a package's table or of hatch's environments."""
    if "envs" in table:
        environments = table["envs"].values()
        return [
            one for env in environments for key in ("dependencies", "extra-dependencies") for one in env.get(key, [])
        ]
    project = table["project"]
    extras = project.get("optional-dependencies", {}).values()
    return [*project["dependencies"], *(one for extra in extras for one in extra), *table["build-system"]["requires"]]


@pytest.mark.parametrize("file", TOML.values(), ids=TOML)
def test_every_requirement_is_locked(root, lock, file):
    wanted = names(required(tomllib.loads((root / file).read_text(encoding="utf-8"))))
    assert {name for name in wanted - pinned(lock) if not name.startswith("distill-")} == set()


def test_the_lock_names_no_sibling_and_no_address(lock):
    assert not re.search(r"^distill-|^-|://|@", lock, re.MULTILINE)


def test_hatch_itself_is_locked(lock):
    assert {"hatch", "uv"} <= pinned(lock)


def test_every_environment_follows_the_lock_but_those_for_other_releases(hatch):
    assert hatch["envs"]["bare"]["env-vars"]["UV_CONSTRAINT"] == "{root}/constraints.txt"
    own = {
        name for name, env in hatch["envs"].items() if "UV_CONSTRAINT" not in env.get("env-vars", {"UV_CONSTRAINT": ""})
    }
    assert own == {"newest", "oldest", "lock", "trackers"}
    assert not [name for name, env in hatch["envs"].items() if env.get("detached")]  # it would inherit no variables


def test_the_readme_installs_hatch_from_the_lock(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"pip install (.*hatch.*)", text) == ['-c constraints.txt "hatch>=1.18,<2"'] * 2


def test_hooks_have_the_versions_of_the_lock(root, lock):
    pins = re.findall(r'"([a-z-]+==[^"]+)"', (root / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert len(pins) >= 4
    assert [pin for pin in pins if not re.search(rf"^{re.escape(pin)}$", lock, re.MULTILINE)] == []
