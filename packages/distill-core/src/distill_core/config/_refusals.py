"""Errors that several modules raise: each message and id in one place."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import Problem, did_you_mean
from ._problems import NotFoundError, TagError, TrustProblem, UntrustedError
from ._tags import Tagged


def module_refused(name: str) -> UntrustedError:
    """Return the error for a module where an object is needed."""
    message = f"'{name}' is a module, not an object"
    return UntrustedError(TrustProblem(message, hint="name an object in it", id="module-not-object"))


def object_refused(kind: str, name: str = "") -> UntrustedError:
    """Return the error for an object whose class is not trusted."""
    message = f"{name or 'the data'} is an object of class {kind}, which is outside the trusted packages"
    return UntrustedError(TrustProblem(message, id="untrusted-object"))


def method_refused(owner: str, name: str) -> UntrustedError:
    """Return the error for a method or attribute that the policy refuses; `owner` is empty if it is not known."""
    message = f"a config may not use '{name}'{f' of {owner}' if owner else ''}"
    return UntrustedError(TrustProblem(message, id="method-not-allowed"))


def reference_refused(name: str) -> UntrustedError:
    """Return the error for a function that a config may only call."""
    message = f"'{name}' may be called, but not be passed on"
    hint = f"use '!import_call:{name}', or add '--trust {name.partition('.')[0]}' if you trust the file"
    return UntrustedError(TrustProblem(message, hint=hint, id="call-only"))


def attribute_private(name: str) -> UntrustedError:
    """Return the error for an attribute that begins with an underscore."""
    return UntrustedError(TrustProblem(f"the attribute '{name}' is private", id="private-attribute"))


def definition_refused() -> UntrustedError:
    """Return the error for an attribute set on a class, function or module."""
    message = "'!setattr' changes objects, not classes, functions or modules"
    return UntrustedError(TrustProblem(message, id="setattr-definition"))


def value_refused(name: str, shown: str, reason: str) -> UntrustedError:
    """Return the error for an argument value that the policy refuses."""
    return UntrustedError(TrustProblem(f"'{name}: {shown}' is refused: {reason}", id="refused-argument"))


def name_missing(module: str, name: str, names: Iterable[str]) -> NotFoundError:
    """Return the error for a name that a module does not have; `names` are those that it has."""
    hint = did_you_mean(name, names, otherwise="")
    return NotFoundError(Problem(f"'{module}' has no '{name}'", hint=hint, id="name-missing"))


def short_name_missing(name: str, hint: str) -> NotFoundError:
    """Return the error for a short name that is not registered."""
    return NotFoundError(Problem(f"nothing is registered as '{name}'", hint=hint, id="short-name-missing"))


def not_callable(tagged: Tagged, name: str) -> TagError:
    """Return the error for a call of an object that cannot be called."""
    message, hint = f"'{name}' cannot be called", "use '!import_get' to get the object itself"
    return TagError(tagged.at, Problem(message, hint=hint, id="not-callable"))
