"""`avis-data annotate install` and `annotate serve`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from avis_data.cli import interruption
from avis_data.cli.options import current_workspace, engine_option, engine_weights_option, label_studio_url_option
from avis_data.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from avis_data.annotation.serve.servers import Serving

__all__ = ["install_label_studio", "serve_label_studio"]

_PORT = click.IntRange(1, 65535)
_ENV = click.option(
    "--env",
    "environment",
    type=click.Path(file_okay=False, path_type=Path),
    help="The environment of Label Studio; default: label-studio, inside ours.",
)


@click.command("install")
@_ENV
def install_label_studio(environment: Path | None) -> None:
    """Install Label Studio into an environment of its own (about 1 GB, some minutes).

    Label Studio and avis-data want different versions of many packages, so the two never share
    an environment. Nothing is done if it is there already.

    \b
    Example:
      avis-data annotate install
    """
    from tqdm import tqdm

    from avis_data.annotation.serve.label_studio_install import default_environment, install, num_packages

    folder = (environment or default_environment()).absolute()
    with tqdm(total=num_packages(), desc="Label Studio", unit="package", disable=None) as bar:

        def show(line: str) -> None:
            if re.match(r"(Collecting|Processing) ", line):
                bar.update()
            elif line.startswith(("Installing", "preparing")):
                bar.set_postfix_str(line.split(":")[0][:30])

        made = install(folder, on_line=show)
    click.echo(f"{folder}: {'installed' if made else 'is there already'}", err=True)


@click.command("serve")
@click.option("--port", type=_PORT, default=8080, show_default=True, metavar="N", help="Port of Label Studio.")
@click.option("--backend-port", type=_PORT, default=9090, show_default=True, metavar="N", help="Port of the segmenter.")
@_ENV
@engine_option(default="auto")
@engine_weights_option
@label_studio_url_option
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the token of an account there (with --label-studio-url).",
)
@click.option("--backend-url", metavar="URL", help="A segmenter that runs already, as Label Studio reaches it.")
@click.option(
    "--backend-token-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="File with its token."
)
@click.option("--clips-folder", metavar="DIR", help="The folder clips, as that server's machine sees it.")
@click.option("--media-prefix", default="", metavar="NAME/", help="Path from its root of local files to the workspace.")
def serve_label_studio(
    port: int,
    backend_port: int,
    environment: Path | None,
    engine: str,
    engine_weights: Path | None,
    url: str | None,
    token_file: Path | None,
    backend_url: str | None,
    backend_token_file: Path | None,
    clips_folder: str | None,
    media_prefix: str,
) -> ExitCode:
    """Start Label Studio and the segmenter on this machine, for this workspace; Ctrl-C ends both.

    The segmenter turns a click into a mask. The engine auto is the first of sam2, sam, saliency and grabcut whose
    weights were fetched (`avis-data weights get u2netp`); grabcut needs none. It is told which one was taken.

    The first start makes an account. Its password is told once; it is in label-studio/secrets.json, which only you can
    read. Killed, it starts again with nothing lost. With --label-studio-url and --backend-url nothing is started: the
    workspace is connected with servers that exist.

    \b
    Example:
      avis-data -C my-dataset annotate serve
    """
    from avis_data.annotation.serve.servers import ServeOptions, password_was_told, serve

    if engine_weights is not None and not engine_weights.exists():
        raise ConfigError(f"--engine-weights {engine_weights}: no such file or folder")
    options = ServeOptions(
        port=port,
        backend_port=backend_port,
        environment=environment.absolute() if environment else None,
        url=url.rstrip("/") if url else None,
        token_file=token_file,
        backend_url=backend_url.rstrip("/") if backend_url else None,
        backend_token_file=backend_token_file,
        clips_folder=clips_folder,
        media_prefix=media_prefix,
        engine=engine,
        weights=engine_weights,
    )
    with serve(current_workspace(), options, say=lambda line: click.echo(line, err=True)) as serving:
        _say(serving)
        if serving.password:
            password_was_told(current_workspace())
        if not serving.children:
            return ExitCode.OK
        try:
            serving.watch(lambda line: click.echo(line, err=True))
        except KeyboardInterrupt:
            interruption.taken()
            click.echo("ending the servers ...", err=True)
    return ExitCode.OK


def _say(serving: Serving) -> None:
    for name in serving.left_over:
        click.echo(f"{name} of an earlier run was still there; it was ended first", err=True)
    click.echo(f"Label Studio: {serving.url}")
    if serving.username:
        click.echo(f"login: {serving.username}")
    if serving.password:
        click.echo(f"password: {serving.password}  (told this once; label-studio/secrets.json keeps it)")
    elif serving.username:
        click.echo("password: in label-studio/secrets.json")
    for title in serving.projects:
        click.echo(f"project: {title}")
    if serving.children:
        click.echo("Ctrl-C ends it. In another terminal: avis-data annotate push --round draft", err=True)
