"""Commands whose options are, beside their own, those of the formats that they know: declared by the formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import click

from avis_data.errors import ConfigError

if TYPE_CHECKING:
    from avis_data.formats.sets.options import OwnOption

__all__ = ["FormatCommand", "FormatList", "Side", "own_options_of", "took"]

_OWN = "own_"
"""What the parameters begin with that are a format's own options."""


@dataclass(frozen=True)
class Side:
    """One format, as a command lists it."""

    name: str
    summary: str
    options: Mapping[str, OwnOption]


FormatList = Callable[[], Iterable[Side]]
"""All formats of one side of a command: those that are read, or those that are written."""


class _OwnOption(click.Option):
    """An option that some formats have."""

    def __init__(self, option: OwnOption, formats: tuple[str, ...]) -> None:
        is_flag = option.kind is bool
        usual = None if is_flag or option.usual is None else str(option.usual)
        kind = click.Choice(option.choices) if option.choices else None if is_flag else option.kind
        super().__init__(
            [f"{_OWN}{option.name}", option.flag],
            type=kind,
            is_flag=is_flag,
            default=None,
            help=option.help + (f" Default: {usual}." if usual else ""),
        )
        self.formats = formats


class FormatCommand(click.Command):
    """Has, beside the options of the command, those of each format that there is, and lists the formats."""

    sides: ClassVar[Mapping[str, FormatList]] = {}
    """Title of a list of formats, and what gives them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), *own_options_of(*self.sides.values())]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            title = f"Options of {' and '.join(param.formats)}" if isinstance(param, _OwnOption) else "Options"
            if record is not None:
                sections.setdefault(title, []).append(record)
        for title, formats in self.sides.items():
            sections[title] = [(side.name, side.summary) for side in formats()]
        for title, records in ((title, records) for title, records in sections.items() if records):
            with formatter.section(title):
                formatter.write_dl(records)


def own_options_of(*sides: FormatList) -> list[_OwnOption]:
    """One for each flag, whichever formats have it: then it means the same in all of them."""
    having: dict[tuple[str, str], list[tuple[str, OwnOption]]] = {}
    for formats in sides:
        for side in formats():
            for option in side.options.values():
                having.setdefault((option.name, option.flag), []).append((side.name, option))
    return [_OwnOption(found[0][1], tuple(dict.fromkeys(name for name, _ in found))) for found in having.values()]


def took(own: Mapping[str, object], chosen: Iterable[Side], *sides: FormatList) -> list[dict[str, object]]:
    """What was asked of each of the chosen formats, by the names of its options.

    Args:
        own: the parameters of the command that are none of its own.
        chosen: the formats that were named.
        sides: all formats of the command.

    Raises:
        ConfigError: for an option that other formats have and none of these has.
    """
    given = {key.removeprefix(_OWN): value for key, value in own.items() if value is not None}
    chosen = list(chosen)
    for option in own_options_of(*sides):
        name = (option.name or "").removeprefix(_OWN)
        if name in given and not any(name in side.options for side in chosen):
            raise ConfigError(f"{option.opts[0]} goes with --format {' or '.join(option.formats)}")
    return [
        {
            name: not option.usual if option.kind is bool else given[name]
            for name, option in side.options.items()
            if name in given
        }
        for side in chosen
    ]
