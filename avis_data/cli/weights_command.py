"""`avis-data weights`: list, check, register and convert model weight files."""

from __future__ import annotations

import json
from pathlib import Path

import click

from avis_data.cli.options import json_option, out_option, set_option
from avis_data.errors import ExitCode

__all__ = ["command"]


@click.group()
def command() -> None:
    """List, check, register and convert model weight files. Nothing is downloaded: `list` says where to get them.

    \b
    Example:
      avis-data weights list
      avis-data weights add vggish-10086976.pth
      avis-data weights check
    """


@command.command("list")
@json_option
def list_weights(as_json: bool) -> None:
    """Show all weight files that we know, which of them are registered, and where to get the others.

    \b
    Example:
      avis-data weights list --json
    """
    from avis_data.paths import data_home
    from avis_data.weights import registered
    from avis_data.weights.known import KNOWN

    entries = {entry.name: entry for entry in registered()}
    if as_json:
        rows = []
        for known in KNOWN:
            row = {field: getattr(known, field) for field in ("name", "kind", "file_name", "page", "licence")}
            entry = entries.get(known.name)
            rows.append({**row, "registered": entry.model_dump(mode="json") if entry else None})
        click.echo(json.dumps({"data_home": str(data_home()), "weights": rows}))
        return
    for known in KNOWN:
        entry = entries.get(known.name)
        place = entry.path if entry else f"not registered; {known.file_name} from {known.page}"
        click.echo(f"{known.name:20} {known.kind:9} {known.licence:13} {place}")


@command.command("check")
@json_option
def check_weights(as_json: bool) -> int:
    """Read every registered file again and compare it with what was registered; exit code 3 if one differs.

    \b
    Example:
      avis-data weights check
    """
    from avis_data.weights import problem_with, registered

    problems = {entry.name: problem_with(entry) for entry in registered()}
    if as_json:
        rows = [{"name": name, "ok": problem is None, "problem": problem} for name, problem in problems.items()]
        click.echo(json.dumps({"weights": rows}))
    else:
        for name, problem in problems.items():
            click.echo(f"{name:20} {problem or 'ok'}")
        if not problems:
            click.echo("no weights are registered; see avis-data weights list", err=True)
    return int(ExitCode.BAD_INPUT if any(problems.values()) else ExitCode.OK)


@command.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", default=None, metavar="NAME", help="Its name in `weights list`, if the file was renamed.")
@json_option
def add_weights(file: Path, name: str | None, as_json: bool) -> None:
    """Check a weight file (hash, no code inside, the right tensors) and register it. It stays where it is.

    \b
    Example:
      avis-data weights add vggish-10086976.pth
    """
    from avis_data.weights import register

    entry = register(file, name)
    if as_json:
        click.echo(json.dumps(entry.model_dump(mode="json")))
    else:
        click.echo(f"{entry.name}: {entry.path} (SHA-256 {entry.sha256})")


@command.command("convert")
@click.argument("file", type=click.Path(path_type=Path))
@out_option(required=True)
@set_option
@json_option
def convert_weights(file: Path, out: Path, settings: tuple[str, ...], as_json: bool) -> int:
    """Turn an official checkpoint (AVISM, VITA, AVS-BG, AVSBench) into one of ours, and say what is missing in it.

    What no tensor tells is as published, unless --set says otherwise: model.window=N, the frames of a window of AVISM.
    Exit code 4 if the file did not hold exactly one whole model; what it held is written all the same.

    \b
    Example:
      avis-data weights convert avism_R50_COCO.pth --out avism.safetensors
      avis-data weights convert S4_pvt_best.pth --out avs_bg.safetensors
    """
    from dataclasses import asdict

    from avis_data.extras import need_extra

    need_extra("train", what="a model")
    from avis_data.training.checkpoints.conversion import convert_checkpoint

    report = convert_checkpoint(file, out, settings=settings)
    if as_json:
        click.echo(json.dumps({"path": str(out), "complete": report.complete, **asdict(report)}))
    else:
        click.echo(f"{out}: {report.tensors} tensors, {report.parameters:,} parameters")
        for what, names in (("missing", report.missing), ("unexpected", report.unexpected)):
            for name in names:
                click.echo(f"{what}: {name}", err=True)
        for name in report.odd_class_weights:
            click.echo(f"not the published class weights (no object 0.1): {name}", err=True)
    return int(ExitCode.OK if report.complete else ExitCode.PARTIAL)
