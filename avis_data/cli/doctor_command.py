"""`avis-data doctor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import json_option, label_studio_url_option
from avis_data.errors import ExitCode

if TYPE_CHECKING:
    from avis_data.doctor import Check

__all__ = ["command"]


@click.command("doctor")
@label_studio_url_option
@json_option
def command(url: str | None, as_json: bool) -> ExitCode:
    """Check this machine: Python, ffmpeg, yt-dlp, torch, weights, disk. Exit code 5 if something needed is bad.

    With --label-studio-url it also asks that server whether it answers.

    \b
    Example:
      avis-data doctor --json
    """
    from avis_data.doctor import Health, examine

    checks = [*examine(Path.cwd(), url), _label_studio_environment()]
    if as_json:
        click.echo(json.dumps({"checks": [check.as_dict() for check in checks]}))
    else:
        for check in checks:
            click.echo(f"{check.health:9} {check.name:16} {check.found}")
            if check.advice:
                click.echo(f"{'':26} {check.advice}")
    bad = any(check.health is Health.BAD for check in checks)
    return ExitCode.MISSING_TOOL if bad else ExitCode.OK


def _label_studio_environment() -> Check:
    from avis_data.annotation.serve.label_studio_install import LABEL_STUDIO_VERSION, default_environment, is_installed
    from avis_data.doctor import Check, Health

    name, folder = "annotation", default_environment()
    if is_installed(folder):
        return Check(name=name, health=Health.GOOD, found=f"Label Studio {LABEL_STUDIO_VERSION} in {folder}")
    advice = "only to label clips: avis-data annotate install"
    return Check(name=name, health=Health.OPTIONAL, found="Label Studio is not installed", advice=advice)
