"""Which packages are installed, and whether their versions are those that they ask of each other."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from typing import Any

from ._finding import Finding, note, ok, problem

OURS = ("distill-core", "distill-vision", "distill-nlp", "distill-zoo")
ADDS = {
    "distill-vision": "images: data sets, metrics, models",
    "distill-nlp": "text: data sets, metrics, models of transformers",
    "distill-zoo": "pretrained weights",
}


def versions() -> Iterator[Finding]:
    """Ours first, then what they need; versions that do not fit are problems."""
    try:
        parse: Any = importlib.import_module("packaging.requirements").Requirement
    except ModuleNotFoundError:
        yield note("packaging", "not installed: versions are not compared", "pip install packaging")
        parse = None
    needs: dict[str, list[tuple[str, Any]]] = {}
    for name in OURS:
        if _installed(name) is None:
            what = ADDS.get(name)
            hint = f"pip install {name}, for {what}" if what else "it runs from its sources: pip install it"
            yield note(name, "not installed", hint)
            continue
        yield ok(name, version(name))
        for requirement in required(name, parse, extras=True):
            needs.setdefault(requirement.name, []).append((name, requirement))
    for name in sorted(needs.keys() - {*OURS}):
        yield from of_package(name, needs[name])
        for requirement in required(name, parse):
            if _misfits(requirement):
                yield _mismatch(name, requirement)
    for name in OURS:
        yield from (_mismatch(owner, found) for owner, found in needs.get(name, ()) if _misfits(found))
    yield from importing("torch")
    if _installed("torchvision"):
        yield from importing("torchvision")


def required(name: str, parse: Any, *, extras: bool = False) -> list[Any]:
    """What an installed package needs here, as `packaging` has it.

    Args:
        name: The package.
        parse: A text → a requirement; nothing is read if there is none.
        extras: With what its extras ask for, if that is installed.
    """
    try:
        texts = distribution(name).requires or []
    except PackageNotFoundError:
        return []
    found = [parse(text) for text in texts] if parse else []
    always = [item for item in found if item.marker is None or item.marker.evaluate({"extra": ""})]
    return always + [item for item in found if extras and item not in always and _optional(item)]


def _optional(requirement: Any) -> bool:
    """Whether something that an extra asks for is installed, and for this machine."""
    extra = str(requirement.marker).partition("extra == ")[2].strip("\"' )")
    return _installed(requirement.name) is not None and bool(requirement.marker.evaluate({"extra": extra}))


def of_package(name: str, needs: list[tuple[str, Any]]) -> Iterator[Finding]:
    """A package that others of ours need."""
    here = _installed(name)
    if here is None:
        owners = ", ".join(dict.fromkeys(owner for owner, _ in needs))
        yield problem(name, f"not installed, and {owners} needs it", f"pip install '{needs[0][1]}'")
        return
    wrong = [_mismatch(owner, requirement) for owner, requirement in needs if _misfits(requirement)]
    asked = ", ".join(dict.fromkeys(f"{owner} needs {found.specifier}" for owner, found in needs if found.specifier))
    yield from wrong or [ok(name, f"{here} ({asked})" if asked else here)]


def importing(name: str) -> Iterator[Finding]:
    """Whether a package with compiled parts can be imported at all."""
    try:
        importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 — whatever a broken installation raises is what is to be told
        first = str(error).partition("\n")[0]
        yield problem(name, f"cannot be imported: {first}", f"pip install --force-reinstall torch {name}")


def _mismatch(owner: str, requirement: Any) -> Finding:
    here = _installed(requirement.name)
    asked = f"{requirement.name}{requirement.specifier}"
    return problem(requirement.name, f"{here} is installed, and {owner} needs {asked}", f"pip install '{asked}'")


def _misfits(requirement: Any) -> bool:
    here = _installed(requirement.name)
    return here is not None and not requirement.specifier.contains(here, prereleases=True)


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
