"""`avis-data convert`: a labelled set in one format becomes one in another, without a workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import click

from avis_data.cli.options import FormatName, dry_run_option, format_option, json_option, out_option, seed_option
from avis_data.cli.own_options import FormatCommand, FormatList, Side, took
from avis_data.cli.set_options import adjustment_of, read_sides, reader_of, set_options
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.formats.sets.spec import SetSpec
    from avis_data.pipelines.exports.convert import ConvertReport

__all__ = ["command"]


def _written() -> Iterator[Side]:
    from avis_data.formats.sets.options import own_options
    from avis_data.formats.sets.registry import SETS

    return (Side(spec.name, spec.summary, own_options(spec.writer)) for spec in SETS if spec.writer is not None)


class _ConvertCommand(FormatCommand):
    sides: ClassVar[Mapping[str, FormatList]] = {
        "Formats that are read": read_sides,
        "Formats that are written": _written,
    }


@click.command("convert", cls=_ConvertCommand)
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--to",
    "target_name",
    type=FormatName(lambda: [side.name for side in _written()]),
    required=True,
    metavar="NAME",
    help="The format that is written.",
)
@format_option(type=FormatName(lambda: [side.name for side in read_sides()]), default=None)
@out_option(default=None, show_default="the name of SOURCE and of the format, here")
@set_options
@click.option(
    "--set-fps",
    type=click.FloatRange(0, 1000, min_open=True),
    help="How many numbers of the set's stills (stills, where they have none) make a second.",
)
@click.option("--categories", metavar="NAME", help="A category set: its numbers are written, other names refused.")
@click.option(
    "--split", metavar="N/N/N", help="Sizes of train/val/test or train/val: numbers of clips, or percentages."
)
@seed_option()
@dry_run_option
@json_option
def command(
    source: Path,
    target_name: str,
    format_name: str | None,
    out: Path | None,
    sounding: str | None,
    pairs: tuple[str, ...],
    map_file: Path | None,
    clip_name: str | None,
    set_fps: float | None,
    categories: str | None,
    split: str | None,
    seed: int,
    dry_run: bool,
    as_json: bool,
    **own: object,
) -> int:
    """Write a labelled set in another format, without a workspace.

    SOURCE is the file, archive or folder of a set; without --format its form is recognised. The result is read back
    by the format's own reader and compared, mask by mask, before the folder gets its name; it has a certificate and
    a list of hashes. Clips with faults are left out, whole, and named (exit code 4). docs/formats.md says what
    survives in which format.

    \b
    Example:
      avis-data convert exports/ytvis --to coco
      avis-data convert labels.json --format coco --to coco --out out --clip dog1 --sounding all
    """
    from avis_data.formats.sets.options import own_options, with_options
    from avis_data.formats.sets.registry import SETS
    from avis_data.pipelines.exports.convert import Conversion, convert

    read, target = SETS[format_name] if format_name else _recognised(source), SETS[target_name]
    if read.reader is None or target.writer is None:
        raise ConfigError(f"{read.name} cannot be read, or {target.name} not be written")
    sides = [
        Side(spec.name, spec.summary, own_options(side))
        for spec, side in ((read, read.reader), (target, target.writer))
    ]
    of_reader, of_writer = took(own, sides, read_sides, _written)
    wanted = Conversion(
        source=source,
        format_name=read.name,
        reader=reader_of(read, of_reader),
        target=replace(target, writer=with_options(target.writer, of_writer, owner=target.name)),
        adjustment=adjustment_of(sounding, pairs, map_file, clip_name, set_fps=set_fps),
        categories=categories,
        fps=set_fps,
        split=split,
        seed=seed,
    )
    out = out or Path(f"{source.stem}-{target.name}")
    report = convert(wanted, None if dry_run else out)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, **report.as_dict()}, ensure_ascii=False))
    else:
        _show(report, out, dry_run=dry_run)
    return ExitCode.PARTIAL if report.problems else ExitCode.OK


def _recognised(source: Path) -> SetSpec:
    """The only format that a set looks like, or the narrowest of those."""
    from avis_data.formats.sets.registry import SETS

    found = list({spec.reader: spec for spec in reversed(list(SETS)) if _looks_right(spec, source)}.values())
    wider = {name for spec in found for name in spec.narrows}
    found = [spec for spec in found if spec.name not in wider]
    if len(found) != 1:
        names = " or ".join(spec.name for spec in found) or "none that is known"
        raise ConfigError(f"{source}: looks like {names}", hint="--format NAME; avis-data convert --help lists them")
    return found[0]


def _looks_right(spec: SetSpec, source: Path) -> bool:
    return spec.reader is not None and spec.reader.looks_right(source)


def _show(report: ConvertReport, out: Path, *, dry_run: bool) -> None:
    verb = "would write" if dry_run else f"written, {report.num_files} files, read back and compared:"
    click.echo(f"{out}: {verb} {report.format_name}")
    for split, counts in report.counts.items():
        click.echo(f"{split:8}" + "".join(f"{count:>8} {name}" for name, count in counts.items()))
    for remark in report.remarks[:5]:
        click.echo(f"  {remark}")
    if len(report.remarks) > 5:
        click.echo(f"  ... and {len(report.remarks) - 5} more remarks (--json has all)")
    if report.skipped_clips:
        click.echo(f"{len(report.skipped_clips)} clip(s) left out for their problems:")
    for problem in report.problems:
        click.echo(f"    {problem}")
