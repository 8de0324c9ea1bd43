"""`avis-data doctor`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import current_workspace, json_option, label_studio_url_option, verify_option
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.doctor import Check
    from avis_data.pipelines.doctor.examination import FoundFile

__all__ = ["command"]


@click.command("doctor")
@label_studio_url_option
@click.option(
    "--workspace", "of_workspace", is_flag=True, help="Check the files of the workspace instead of the machine."
)
@click.option("--repair", "do_repair", is_flag=True, help="Rebuild what can be rebuilt; what it replaces is kept.")
@verify_option
@json_option
def command(url: str | None, of_workspace: bool, do_repair: bool, verify: bool, as_json: bool) -> ExitCode:
    """Check this machine: Python, ffmpeg, yt-dlp, torch, weights, disk. Exit code 5 if something needed is bad.

    With --label-studio-url it also asks that server whether it answers.

    With --workspace it reads every file of the workspace, and says which are damaged, where, and what to do. Exit code
    3 if any is. --repair rebuilds the ledger, the manifests and the like from the other files; no work is done again.

    \b
    Examples:
      avis-data doctor --json
      avis-data -C my-dataset doctor --workspace --repair
    """
    if of_workspace:
        if url is not None:
            raise ConfigError("--label-studio-url is about the machine, not about the files of a workspace")
        return _of_workspace(do_repair=do_repair, verify=verify, as_json=as_json)
    if do_repair or verify:
        raise ConfigError("--repair and --verify go with --workspace", hint="avis-data doctor --workspace --repair")
    return _of_machine(url, as_json=as_json)


def _of_machine(url: str | None, *, as_json: bool) -> ExitCode:
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


def _of_workspace(*, do_repair: bool, verify: bool, as_json: bool) -> ExitCode:
    from avis_data.pipelines.doctor.examination import examine_workspace
    from avis_data.pipelines.doctor.repair import Repair, repair_workspace

    workspace = current_workspace()
    if do_repair:
        repair = repair_workspace(workspace, verify=verify)
    else:
        repair = Repair(files=examine_workspace(workspace, verify=verify))
    code = ExitCode.BAD_INPUT if any(found.is_bad for found in repair.files) else ExitCode.OK
    if as_json:
        files = [found.as_dict() for found in repair.files]
        click.echo(json.dumps({"exit_code": int(code), "done": repair.done, "told": repair.told, "files": files}))
        return code
    for sentence in repair.done:
        click.echo(sentence)
    for sentence in repair.told:
        click.echo(sentence, err=True)
    _say_files(repair.files)
    return code


def _say_files(files: list[FoundFile]) -> None:
    from avis_data.pipelines.doctor.examination import Health

    counts = Counter((found.kind, found.health) for found in files if found.health is not Health.ASIDE)
    for (kind, health), number in sorted(counts.items()):
        click.echo(f"{health:9} {number:7} {kind}")
    repairable = False
    for found in files:
        if not found.is_bad and found.health is not Health.LEFT_OVER:
            continue
        click.echo(f"{found.health}: {found.problem or found.path}")
        if found.rebuild is not None:
            repairable = True
            click.echo(
                f"    --repair makes it anew from {found.rebuild}" if found.is_bad else "    --repair removes it"
            )
        elif found.advice:
            click.echo(f"    {found.advice}")
    if repairable:
        click.echo("avis-data doctor --workspace --repair does what is said above, and keeps what it replaces")
    elif not any(found.is_bad for found in files):
        click.echo("nothing is damaged")
