"""Objects that the old file names: their import path and arguments, without importing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._old import LostError, Place


@dataclass(frozen=True)
class Named:
    """An object by its import path, and the arguments if it is called.

    Attributes:
        place: Where it is in the file.
        path: The import path, `torchvision.transforms.Resize`.
        kwargs: The arguments by name.
        args: The arguments by position.
        called: Whether it is called.
    """

    place: Place
    path: str
    kwargs: Mapping[str, Place] = field(default_factory=dict)
    args: tuple[Place, ...] = ()
    called: bool = False

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    def flag(self, name: str, default: bool) -> bool:
        """Return an argument that is true or false."""
        return self.kwargs[name].flag() if name in self.kwargs else default

    def require_of(self, *packages: str) -> Named:
        """Return the object itself if it is of one of some packages.

        Raises:
            LostError: It is of another package, so that it may do anything.
        """
        if not any(self.path.startswith(f"{package}.") for package in packages):
            raise LostError(
                self.place, f"'{self.path}' is not of {' or '.join(packages)}", "write its counterpart by hand"
            )
        return self

    def need(self, name: str) -> Place:
        """Return the place of an argument.

        Raises:
            LostError: It is missing.
        """
        if name not in self.kwargs:
            raise LostError(self.place, f"the argument '{name}' of '{self.path}' is missing")
        return self.kwargs[name]

    def value(self, name: str, default: Any = None) -> Any:
        """Return an argument as plain data."""
        return self.kwargs[name].plain() if name in self.kwargs else default

    def refuse_args(self) -> None:
        """Refuse arguments by position.

        Raises:
            LostError: There are some.
        """
        if self.args:
            raise LostError(self.args[0], f"'{self.path}' has arguments by position", "name them under 'kwargs'")


def named(place: Place) -> Named:
    """Return the object of `!import_get`, `!import_call` or `!getattr`.

    Raises:
        LostError: It is another tag or no object.
    """
    if place.tag in ("!getattr", "!import_get", "!import_call"):
        place.read()
    if place.tag == "!getattr":
        items = place.items()
        if len(items) != 2:
            raise LostError(place, "'!getattr' takes an object and the name of an attribute")
        return Named(place, f"{named(items[0]).path}.{items[1].text()}")
    if place.tag not in ("!import_get", "!import_call"):
        raise LostError(place, f"'{place.tag}' cannot be converted" if place.tag else "this must name an object")
    package = place.take("package")
    path = place.need("key").text()
    path = f"{package.text()}.{path}" if package else path
    if place.tag == "!import_get":
        return Named(place, path)
    init = place.take("init")
    if init is None:
        return Named(place, path, called=True)
    kwargs, args = init.take("kwargs"), init.take("args")
    return Named(place, path, kwargs.entries() if kwargs else {}, tuple(args.items()) if args else (), called=True)
