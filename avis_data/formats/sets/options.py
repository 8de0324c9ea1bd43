"""The options that a format has of its own: fields of its frozen dataclass, declared where they are used."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, TypeVar

from avis_data.errors import ConfigError

__all__ = ["Declaring", "Nested", "Option", "OwnOption", "own_options", "values", "with_options"]


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Marks a field that holds another declaring dataclass, whose options are options of the whole."""


class Declaring(Protocol):
    """A frozen dataclass; its fields with an `Option` are options of a command."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[typing.Any]]]  # as typeshed has it


Format = TypeVar("Format", bound=Declaring)


@dataclass(frozen=True, kw_only=True)
class Option:
    """Makes a field of a format one of its own options: `Annotated[bool, Option(help="...")]`."""

    help: str
    """One phrase for `--help`."""
    flag: str | None = None
    """As it is typed; None: `--` and the name of the field."""


@dataclass(frozen=True, kw_only=True)
class OwnOption:
    """One of a format's own options."""

    name: str
    """Of the field."""
    flag: str
    """As it is typed."""
    help: str
    usual: object
    kind: type
    """`bool`: a flag that turns the usual value round; else the type of its value."""
    choices: tuple[str, ...] = ()
    """All values that there are; empty: any of that type."""


def own_options(format_: Declaring) -> dict[str, OwnOption]:
    """The options of a format, by the names of their fields."""
    hints = typing.get_type_hints(type(format_), include_extras=True)
    found: dict[str, OwnOption] = {}
    for field in dataclasses.fields(format_):
        if _said_of(hints[field.name], Nested):
            found |= own_options(getattr(format_, field.name))
        elif (option := _option_of(field.name, hints[field.name], field.default)) is not None:
            found[option.name] = option
    return found


def values(format_: Declaring) -> list[object]:
    """The values of its options, in the order of `own_options`."""
    hints = typing.get_type_hints(type(format_), include_extras=True)
    found: list[object] = []
    for field in dataclasses.fields(format_):
        value = getattr(format_, field.name)
        if _said_of(hints[field.name], Nested):
            found += values(value)
        elif _said_of(hints[field.name], Option):
            found.append(value)
    return found


def with_options(format_: Format, given: Mapping[str, object], *, owner: str) -> Format:
    """The same format with other values of its own options.

    Raises:
        ConfigError: if it has no such option, or the option no such value; `owner` names the format.
    """
    known = own_options(format_)
    for name, value in given.items():
        if name not in known:
            there = ", ".join(known) or "none"
            raise ConfigError(f"the format {owner!r} has no option {name!r}; it has: {there}")
        choices = known[name].choices
        if choices and value not in choices:
            raise ConfigError(f"{known[name].flag} {value}: {owner} takes {' or '.join(choices)}")
    hints = typing.get_type_hints(type(format_), include_extras=True)
    new = dict(given)
    for field in dataclasses.fields(format_):
        if _said_of(hints[field.name], Nested):
            inner = getattr(format_, field.name)
            of_inner = {name: new.pop(name) for name in own_options(inner) if name in new}
            new[field.name] = with_options(inner, of_inner, owner=owner)
    return replace(format_, **new)


def _said_of(hint: object, kind: type) -> bool:
    return typing.get_origin(hint) is typing.Annotated and any(isinstance(x, kind) for x in typing.get_args(hint)[1:])


def _option_of(name: str, hint: object, usual: object) -> OwnOption | None:
    """What is said of a field with `Option`; None for one that is no option."""
    kind, *said = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
    declared = next((entry for entry in said if isinstance(entry, Option)), None)
    if declared is None:
        return None
    parts = [part for part in typing.get_args(kind) if part is not type(None)]
    plain = kind if isinstance(kind, type) else next((part for part in parts if isinstance(part, type)), str)
    return OwnOption(
        name=name,
        flag=declared.flag or f"--{name.replace('_', '-')}",
        help=declared.help,
        usual=usual,
        kind=plain,
        choices=_choices(kind),
    )


def _choices(hint: object) -> tuple[str, ...]:
    """The values of a Literal, also of one that may be None."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return tuple(value for part in typing.get_args(hint) for value in _choices(part))
