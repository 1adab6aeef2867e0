"""Diagnostics of installed packages and their versions."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any

from ._finding import Finding, note, ok, problem

OURS = ("distill-core", "distill-vision", "distill-nlp", "distill-zoo")
ADDS = {
    "distill-vision": "images: datasets, metrics, models",
    "distill-nlp": "text: datasets, metrics, models of transformers",
    "distill-zoo": "pretrained weights",
}


def versions() -> Iterator[Finding]:
    """Check the packages of Distill, then their requirements; incompatible versions are problems."""
    try:
        parse: Any = importlib.import_module("packaging.requirements").Requirement
    except ModuleNotFoundError:
        yield note("packaging", "not installed: versions are not checked", "pip install packaging")
        parse = None
    needs: dict[str, list[tuple[str, Any]]] = {}
    for name in OURS:
        if _installed(name) is None:
            content = ADDS.get(name)
            hint = f"pip install {name}, for {content}" if content else f"it runs from its sources: pip install {name}"
            yield note(name, "not installed", hint)
            continue
        yield ok(name, version(name))
        for requirement in required(name, parse, extras=True):
            needs.setdefault(requirement.name, []).append((name, requirement))
    for name in sorted(needs.keys() - {*OURS}):
        yield from of_package(name, needs[name])
        for requirement in required(name, parse):
            if _is_violated(requirement):
                yield _mismatch(name, requirement)
    for name in OURS:
        yield from (_mismatch(owner, needed) for owner, needed in needs.get(name, ()) if _is_violated(needed))
    yield from importing("torch")
    if _installed("torchvision"):
        yield from importing("torchvision")


def required(name: str, parse: Any, *, extras: bool = False) -> list[Any]:
    """Return the requirements of an installed package on this machine, parsed by `packaging`.

    Args:
        name: The package.
        parse: The parser of a requirement; without one the result is empty.
        extras: Include installed requirements of extras.
    """
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return []
    parsed = [parse(text) for text in texts] if parse else []
    always = [item for item in parsed if item.marker is None or item.marker.evaluate({"extra": ""})]
    return always + [item for item in parsed if extras and item not in always and _optional(item)]


def _optional(requirement: Any) -> bool:
    """Return whether a requirement of an extra is installed and applies to this machine."""
    extra = str(requirement.marker).partition("extra == ")[2].strip("\"' )")
    return _installed(requirement.name) is not None and bool(requirement.marker.evaluate({"extra": extra}))


def of_package(name: str, needs: list[tuple[str, Any]]) -> Iterator[Finding]:
    """Check a package that packages of Distill require."""
    installed = _installed(name)
    if installed is None:
        owners = ", ".join(dict.fromkeys(owner for owner, _ in needs))
        yield problem(name, f"not installed, but {owners} needs it", f"pip install '{needs[0][1]}'")
        return
    mismatches = [_mismatch(owner, requirement) for owner, requirement in needs if _is_violated(requirement)]
    required = ", ".join(dict.fromkeys(f"{owner} needs {each.specifier}" for owner, each in needs if each.specifier))
    yield from mismatches or [ok(name, f"{installed} ({required})" if required else installed)]


def importing(name: str) -> Iterator[Finding]:
    """Check that a package with compiled parts can be imported."""
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 — a broken installation may raise anything
        first = next(iter(str(error).splitlines()), "")
        yield problem(name, f"cannot be imported: {first}", f"pip install --force-reinstall torch {name}")


def _mismatch(owner: str, requirement: Any) -> Finding:
    required = f"{requirement.name}{requirement.specifier}"
    message = f"{_installed(requirement.name)} is installed, but {owner} needs {required}"
    return problem(requirement.name, message, f"pip install '{required}'")


def _is_violated(requirement: Any) -> bool:
    installed = _installed(requirement.name)
    return installed is not None and not requirement.specifier.contains(installed, prereleases=True)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
