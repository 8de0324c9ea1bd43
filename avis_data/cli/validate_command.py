"""`avis-data validate`: what is wrong with a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import json_option
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.quality import ValidationReport

__all__ = ["command"]


@click.command(name="validate")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--deep", is_flag=True, help="Decode every frame and every sample, hash every file.")
@click.option(
    "--certificate", is_flag=True, help="Prove again that no source, channel or near-duplicate is in two splits."
)
@json_option
def command(path: Path, deep: bool, certificate: bool, as_json: bool) -> int:
    """Check a dataset in the YTVIS / AVISeg layout, ours or foreign, and list its problems by severity.

    PATH is the folder with train.json, val.json, test.json and the folders train, val, test; or one truth file.
    An export of ours is compared with its files.sha256 and certificate.json too; with --certificate near-duplicates are
    looked for again in its stills and its sound.
    Ends with exit code 3 if there is an error; warnings and notes do not count.

    \b
    Example:
      avis-data validate exports/aviseg
      avis-data validate exports/aviseg --certificate
    """
    from avis_data.quality import validate

    report = validate(path, deep=deep, certificate=certificate)
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    else:
        _print(report)
    return ExitCode.OK if report.is_clean else ExitCode.BAD_INPUT


def _print(report: ValidationReport) -> None:
    from avis_data.quality import Severity

    for severity in Severity:
        for finding in report.findings.of(severity):
            click.echo(f"{severity.value}: {finding} [{finding.code}]")
    for found, code, file, number in report.findings.not_kept():
        click.echo(f"{found.value}: {file}: {number} more of the kind [{code}]")
    for file, numbers in report.checked.items():
        media = "" if numbers["media"] else ", truth only (no JPEGImages beside it)"
        click.echo(f"{file}: {numbers['num_videos']} video(s), {numbers['num_tracks']} track(s) read{media}")
    if report.files is not None:
        numbers = report.files
        click.echo(f"files: {numbers['found']} of {numbers['listed']} listed are there, {numbers['hashed']} hashed")
    if report.proof is not None:
        pairs = f"{report.proof['links']} pair(s) of near-duplicates, {report.proof['divided']} in two splits"
        click.echo(f"proof: {report.proof['clips']} clip(s) compared, {pairs}")
    counts = ", ".join(f"{report.findings.count(severity)} {severity.value}(s)" for severity in Severity)
    click.echo(f"{report.path}: {counts}")
