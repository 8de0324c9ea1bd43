"""Specs by name: the stages, export formats, models and figures that there are, each imported when it is first used."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar, cast

from avis_data.errors import ConfigError

__all__ = ["Named", "Registry"]


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str:
        """What people and files call it."""


Spec = TypeVar("Spec", bound=Named)


class Registry(Generic[Spec]):
    """The specs of one kind, in the order in which they are listed.

    A package of somebody else adds its own by an entry point in the group that the registry names; a notebook or a
    test by `add`. Both are treated like those that ship.
    """

    def __init__(self, kind: str, shipped: Mapping[str, str | Callable[[], Spec] | Spec], *, group: str) -> None:
        """Make a registry.

        Args:
            kind: what a spec is, for messages: "stage".
            shipped: name to `module:attribute`, imported when it is asked for, to a function that makes the spec, or to
                the spec itself.
            group: of the entry points of other packages.
        """
        self.kind = kind
        self._group = group
        self._shipped = dict(shipped)
        self._places: dict[str, Callable[[], object]] | None = None
        self._found: dict[str, Spec] = {}

    def names(self) -> list[str]:
        """All names, without importing what they stand for."""
        return list(self._all())

    def __iter__(self) -> Iterator[Spec]:
        return iter([self[name] for name in self.names()])

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __getitem__(self, name: str) -> Spec:
        """The spec of that name.

        Raises:
            ConfigError: if there is none; the message lists those that there are.
        """
        places = self._all()
        if name not in places:
            near = difflib.get_close_matches(name, places, n=1)
            hint = f"did you mean {near[0]!r}?" if near else None
            raise ConfigError(f"no {self.kind} {name!r}; there are: {', '.join(places)}", hint=hint)
        if name not in self._found:
            self._found[name] = cast(Spec, places[name]())
        return self._found[name]

    def add(self, spec: Spec) -> Spec:
        """Take in a spec, after those that are there.

        Raises:
            ConfigError: if the name is taken.
        """
        if spec.name in self._all():
            raise ConfigError(f"there is a {self.kind} {spec.name!r} already")
        self._all()[spec.name] = lambda: spec
        return spec

    @contextmanager
    def with_added(self, spec: Spec) -> Iterator[Spec]:
        """Have a spec for the length of a `with` block."""
        self.add(spec)
        try:
            yield spec
        finally:
            self._all().pop(spec.name)
            self._found.pop(spec.name, None)

    def _all(self) -> dict[str, Callable[[], object]]:
        if self._places is None:
            self._places = {name: _loader(place) for name, place in self._shipped.items()}
            for found in entry_points(group=self._group):
                self._places.setdefault(found.name, found.load)
        return self._places


def _loader(place: object) -> Callable[[], object]:
    if not isinstance(place, str):
        return place if callable(place) else lambda: place
    module, _, attribute = place.partition(":")

    def load() -> object:
        return getattr(import_module(module), attribute)

    return load
