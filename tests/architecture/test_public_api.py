"""What the packages offer, written down. After a change that is meant: python tests/architecture/test_public_api.py."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("distill_core", "distill_nlp", "distill_vision", "distill_zoo")
SNAPSHOT = Path(__file__).with_name("public_api.txt")
COMMAND = "python tests/architecture/test_public_api.py"
INTERNAL = (
    "distill_core.config.policy",
    *(f"distill_core.train.{name}" for name in ("checkpoints", "parallel", "step", "teachers")),
)
"""Subpackages without public names: their `__init__.py` serves the rest of distill_core."""


def public_modules() -> Iterator[types.ModuleType]:
    """Every module whose path has no underscore."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            is_private = any(piece.startswith("_") for piece in found.name.split("."))
            if not is_private and found.name not in INTERNAL:
                yield importlib.import_module(found.name)


def exports(module: types.ModuleType) -> dict[str, object]:
    """The names that a module offers: what it defines, and what its door hands on from its private files."""
    own = (module.__name__, module.__name__ + "._")

    def is_ours(value: object) -> bool:
        home = getattr(value, "__module__", None)
        return isinstance(home, str) and (home == own[0] or home.startswith(own[1]))

    named = getattr(module, "__all__", None)
    members = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    if named is not None:
        return {name: getattr(module, name) for name in named}
    return {name: value for name, value in members.items() if not inspect.ismodule(value) and is_ours(value)}


def api() -> list[str]:
    """Every public dotted name, sorted."""
    return sorted(f"{module.__name__}.{name}" for module in public_modules() for name in exports(module))


def test_the_public_names_are_those_written_down():
    written = SNAPSHOT.read_text(encoding="utf-8").splitlines()
    now = api()
    assert (sorted(set(written) - set(now)), sorted(set(now) - set(written))) == ([], []), f"meant? {COMMAND}"


def test_each_public_class_and_function_has_a_docstring():
    bare = [
        f"{module.__name__}.{name}"
        for module in public_modules()
        for name, value in exports(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and not inspect.getdoc(value)
    ]
    assert bare == []


def test_each_public_class_and_function_has_one_path():
    paths: dict[int, list[str]] = {}
    for module in public_modules():
        for name, value in exports(module).items():
            if inspect.isclass(value) or inspect.isfunction(value):
                paths.setdefault(id(value), []).append(f"{module.__name__}.{name}")
    assert [several for several in paths.values() if len(several) > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_offers_something(package):
    assert any(line.startswith(f"{package}.") for line in api())


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(api()) + "\n", encoding="utf-8")
    print(f"{len(api())} public names written to {SNAPSHOT}")
