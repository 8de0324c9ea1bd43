"""`avis-data doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.command("doctor")
@click.option(
    "--label-studio", "label_studio_url", default=None, metavar="URL", help="Also see whether this server answers."
)
@json_option
def command(label_studio_url: str | None, as_json: bool) -> ExitCode:
    """Check this machine: Python, ffmpeg, yt-dlp, torch, weights, disk. Exit code 5 if something needed is bad.

    \b
    Example:
      avis-data doctor --json
    """
    from avis_data.doctor import Health, examine

    checks = examine(Path.cwd(), label_studio_url)
    if as_json:
        click.echo(json.dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        for check in checks:
            click.echo(f"{check.health:9} {check.name:16} {check.found}")
            if check.advice:
                click.echo(f"{'':26} {check.advice}")
    bad = any(check.health is Health.BAD for check in checks)
    return ExitCode.MISSING_TOOL if bad else ExitCode.OK
