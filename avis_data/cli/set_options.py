"""The options by which people say of a labelled set what its format cannot: for `import` and `convert`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from avis_data.cli.own_options import Side
from avis_data.errors import ConfigError, ProblemsError

if TYPE_CHECKING:
    from avis_data.formats.sets.adjust import Adjustment
    from avis_data.formats.sets.spec import SetReader, SetSpec
    from avis_data.formats.turns.records import Turns

__all__ = ["adjustment_of", "map_option", "read_sides", "reader_of", "set_options"]

map_option = click.option(
    "--map",
    "pairs",
    multiple=True,
    metavar="OLD=NEW",
    help="A category of the set by its name here; `unknown` is that of formats without categories. Several times.",
)
_OPTIONS = (
    click.option(
        "--sounding",
        metavar="all|unknown|FILE",
        help="Masks of which the set does not say it: all sound, nobody knows, or a FILE of turns says it.",
    ),
    map_option,
    click.option(
        "--map-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The same as a CSV with the columns old and new.",
    ),
    click.option("--clip", "clip_name", metavar="NAME", help="The name of the only clip of the set."),
)


def set_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command; their values come as `sounding`, `pairs`, `map_file` and `clip_name`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def read_sides() -> Iterator[Side]:
    """The formats that can be read."""
    from avis_data.formats.sets.options import own_options
    from avis_data.formats.sets.registry import SETS

    return (Side(spec.name, spec.summary, own_options(spec.reader)) for spec in SETS if spec.reader is not None)


def reader_of(spec: SetSpec, given: Mapping[str, object]) -> SetReader:
    """The reader of a format with what was asked of it.

    Raises:
        ConfigError: if it has none, or not such an option or value.
    """
    from avis_data.formats.sets.options import with_options

    if spec.reader is None:
        raise ConfigError(f"{spec.name} cannot be read")
    return with_options(spec.reader, given, owner=spec.name)


def adjustment_of(
    sounding: str | None,
    pairs: tuple[str, ...],
    map_file: Path | None,
    clip_name: str | None,
    *,
    set_fps: float | None = None,
) -> Adjustment:
    """What is said of a set.

    Raises:
        AvisError: if a file cannot be read or has a bad line, or names are given twice.
    """
    from avis_data.formats.sets.adjust import Adjustment, all_sounding, read_category_map
    from avis_data.formats.turns.records import flags_by, unmatched

    said = Adjustment(
        categories=read_category_map(pairs, map_file), asked_sounding=sounding is not None, clip=clip_name
    )
    if sounding is None or sounding == "unknown":
        return said
    if sounding == "all":
        return replace(said, flags=all_sounding)
    turns = _turns(Path(sounding))
    return replace(said, flags=flags_by(turns, fps=set_fps), wrong_names=lambda clip: unmatched(turns, [clip]))


def _turns(path: Path) -> Turns:
    """The turns of a file, all lines of which can be read: one that is lost would make a track silent."""
    from avis_data.formats.turns.reading import read_turns

    turns = read_turns(path)
    if turns.problems:
        raise ProblemsError(f"{path}: {len(turns.problems)} line(s) cannot be read", turns.problems)
    return turns
