"""`avis-data demo`: the whole chain on a small synthetic dataset, by the very commands that a person would type."""

from __future__ import annotations

import functools
import http.server
import os
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from avis_data.cli.options import num_clips_option, out_option, seconds_option, seed_option
from avis_data.cli.report_run import human_time
from avis_data.errors import ExitCode
from avis_data.extras import need_extra

__all__ = ["command"]

_PORT = 8731
"""The same on every run where it is free, so that the links stay the same and a second run has nothing to fetch."""

_CONFIG = "heed_tiny"
_SHORT: dict[str, object] = {
    "data.batch": 4,
    "data.frames": 2,
    "data.negatives": 0,
    "optimiser.rate": 0.002,
    "loop.checkpoint_every": 50,
}
"""What lets a model learn from 72 clips within two minutes: many small steps, of true pairs of picture and sound."""


@click.command("demo")
@out_option(default=Path("demo-workspace"))
@num_clips_option(default=120, type=click.IntRange(6))
@seconds_option(default=3, type=click.IntRange(3))
@seed_option(default=1)
@click.option(
    "--iterations",
    type=click.IntRange(1),
    default=450,
    show_default=True,
    metavar="N",
    help="Iterations of training: three or four a second.",
)
def command(out: Path, num_clips: int, seconds: int, seed: int, iterations: int) -> ExitCode:
    """Show the whole chain on a small synthetic dataset, from a list of links to a trained, evaluated model.

    It makes clips, serves and fetches them, takes out stills and sound, embeds, imports the truth, exports, trains a
    tiny model for two minutes, predicts, evaluates, renders, and ends with a page to open. The embeddings come from an
    untrained network, and say so; the model, an AVISM that hears from where, learns from the two channels themselves.
    It shows that the chain works and that a model learns: one to publish needs more clips and more time. Every command
    is shown as it could be typed.

    \b
    Example:
      avis-data demo --out demo-workspace
    """
    need_extra("train", what="the demo, which trains a model at its end,")
    _use_one_thread()
    started = time.monotonic()
    root = out.resolve()
    world, dataset = root / "world", root / "dataset"
    world.mkdir(parents=True, exist_ok=True)
    export = dataset / "exports" / "ytvis"
    try:
        with _served(world) as url:
            _run(
                "synth",
                "--num-clips",
                num_clips,
                "--seconds",
                seconds,
                "--seed",
                seed,
                "--size",
                "128x72",
                "--video-fps",
                8,
                "--out",
                world,
                "--base-url",
                url,
            )
            fetch = ("fetch", "--list", world / "videos.csv", "--sleep", 0, "--allow-private-hosts")
            _run("-C", dataset, *fetch)  # the server is on this machine, where lists may not lead else
        _run("-C", dataset, "extract")
        _run("-C", dataset, "embed", "--untrained")
        _run("-C", dataset, "import", "--format", "ytvis", world / "truth.json")
        _run("-C", dataset, "export", "--format", "ytvis", "--split", "60/20/20", "--seed", seed)
        _run("-C", dataset, "status")
        _run("validate", export)
        _run("stats", export)
        _train_and_show(export, root, iterations, seed)
    except _CommandFailed as failed:
        click.echo(f"the demo stopped: the last command ended with exit code {failed.code}", err=True)
        return failed.code
    click.echo(
        f"\nThe whole chain took {human_time(time.monotonic() - started)}. Open {root / 'report.html'} in a browser."
    )
    return ExitCode.OK


def _use_one_thread() -> None:
    """Before PyTorch is imported: its steps are so small here that threads would wait for each other."""
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        click.secho("$ export OMP_NUM_THREADS=1", bold=True)


def _train_and_show(export: Path, root: Path, iterations: int, seed: int) -> None:
    """Train, predict the test split, evaluate, render, and write the page; an unfinished run goes on."""
    from avis_data.training.run.run_folder import RunFolder

    run, results, shown = root / "runs" / _CONFIG, root / "results.json", root / "shown"
    settings = _SHORT | {"loop.iterations": iterations, "loop.seed": seed}
    settings |= {key: max(1, iterations // 2) for key in ("validation.every", "validation.draw_every")}
    chosen = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    begun = ["--config", _CONFIG] if RunFolder(run).last() is None else ["--resume"]
    _run("train-baseline", "--data", export, *begun, "--out", run, "--device", "cpu", *chosen)
    _run("predict", "--checkpoint", run, "--data", export, "--out", results, "--device", "cpu")
    _run("evaluate", "--truth", export / "test.json", "--pred", results)
    _run("visualize", "--data", export, "--pred", results, "--out", shown)
    _run("report", export, "--run", run, "--pred", results, "--shown", shown, "--out", root / "report.html")


class _CommandFailed(Exception):
    def __init__(self, code: ExitCode) -> None:
        super().__init__(code)
        self.code = code


def _run(*arguments: object) -> None:
    """Show a command and run it, in this process."""
    from avis_data.cli.main import main

    texts = [str(argument) for argument in arguments]
    click.secho(f"\n$ avis-data {shlex.join(texts)}", bold=True)
    code = ExitCode(main(texts))
    if code is not ExitCode.OK:
        raise _CommandFailed(code)


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """The downloads are reported by fetch; a line per request would hide that."""


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away once it has seen enough, as downloaders do, is no error."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine only; gives its address."""
    handler = functools.partial(_QuietHandler, directory=str(folder))
    try:
        server = _QuietServer(("127.0.0.1", _PORT), handler)
    except OSError:  # taken
        server = _QuietServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
